"""Ends a test process that hangs where pytest-timeout cannot break it: in a C call, or after a failure.

pytest-timeout raises in the main thread, once; and both it and pytest's own watchdog (`faulthandler_timeout`)
let go of a test as soon as it has failed, so that a debugger may look at it. A teardown that waits for ever
after that would hold up the whole run. Here the teardown of a test has the bound anew. At the bound the
process says on stderr where each of its threads is, and ends; xdist names the test.
"""

import faulthandler
import os
import sys

import pytest

_BEYOND_S = 30.0
"""How much longer than pytest-timeout allows it a test of its own time limit may take."""

_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the stderr of before the output of tests is captured."""
    assert sys.__stderr__ is not None
    config.stash[_stderr] = os.dup(sys.__stderr__.fileno())


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_stderr])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the time of the test; pytest stops it when the test is over."""
    _restart(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Start the time of the teardown."""
    _restart(item)


def _restart(item: pytest.Item) -> None:
    bound_s = float(item.config.getini("faulthandler_timeout"))
    if not bound_s:
        return
    marker = item.get_closest_marker("timeout")
    if marker is not None:
        bound_s = max(bound_s, marker.args[0] + _BEYOND_S)
    is_end = item.config.getini("faulthandler_exit_on_timeout")
    faulthandler.dump_traceback_later(bound_s, exit=is_end, file=item.config.stash[_stderr])
