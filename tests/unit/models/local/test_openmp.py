"""The OpenMP runtime: found where it is, fetched where it is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanobot.core.errors import ModelUnavailable
from nanobot.models.local import openmp

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the engine's wheel brings it")


def test_the_search_path_is_left_alone_where_nothing_was_fetched(tmp_path: Path) -> None:
    assert openmp.search_path(tmp_path, None) is None
    assert openmp.search_path(tmp_path, "/own") == "/own"


def test_a_fetched_runtime_is_searched_behind_what_the_user_named(tmp_path: Path) -> None:
    library = openmp.folder(tmp_path) / openmp.LIBRARY
    library.parent.mkdir()
    library.touch()
    assert openmp.search_path(tmp_path, None) == str(library.parent)
    assert openmp.search_path(tmp_path, "/own") == f"/own{os.pathsep}{library.parent}"
    assert not openmp.is_missing(tmp_path)


def test_what_cannot_be_had_is_told_with_how_to_install_it(tmp_path: Path) -> None:
    nowhere = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    with pytest.raises(ModelUnavailable, match="apt install libgomp1"):
        openmp.fetch(tmp_path, nowhere)
    assert [path.name for path in openmp.folder(tmp_path).iterdir()] == []


@linux
@pytest.mark.engine
def test_the_fetched_runtime_loads(tmp_path: Path) -> None:
    library = openmp.fetch(tmp_path)
    asked = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).omp_get_max_threads())"
    done = subprocess.run(
        [sys.executable, "-c", asked, str(library)], capture_output=True, text=True, timeout=60
    )
    assert int(done.stdout) >= 1, done.stderr
