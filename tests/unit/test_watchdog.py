"""A test that hangs where pytest-timeout cannot break it ends its process, and says where it was."""

import subprocess
import sys
from pathlib import Path

import pytest

_SETTINGS = """
[pytest]
timeout = 0.1
faulthandler_timeout = 0.3
faulthandler_exit_on_timeout = true
"""
_HANGING = {
    "a teardown after a failure": """
import threading, pytest

@pytest.fixture
def server():
    yield
    threading.Event().wait()

def test_it(server):
    raise AssertionError("something is wrong")
""",
    "a teardown after a time-out": """
import threading, pytest

@pytest.fixture
def server():
    yield
    threading.Event().wait()

def test_it(server):
    threading.Event().wait()
""",
    "a call that no signal interrupts": """
import ctypes

def test_it():
    mutex = ctypes.create_string_buffer(64)
    lock = ctypes.PyDLL(None).pthread_mutex_lock
    lock(mutex)
    lock(mutex)
""",
}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX has the lock that cannot be interrupted")
@pytest.mark.parametrize("hanging", _HANGING.values(), ids=_HANGING)
def test_a_test_that_hangs_ends_its_process_with_a_traceback(tmp_path: Path, hanging: str) -> None:
    (tmp_path / "pytest.ini").write_text(_SETTINGS)
    (tmp_path / "test_hanging.py").write_text(hanging)
    plugins = [f"-p{name}" for name in ("pytest_timeout", "no:cacheprovider", "tests.watchdog")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--disable-plugin-autoload", *plugins, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Timeout (0:00:00.3" in done.stderr
    assert 'test_hanging.py", line' in done.stderr
