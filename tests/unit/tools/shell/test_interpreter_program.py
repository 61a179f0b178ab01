"""What the interpreter of a session shows of code that fails."""

import pytest

from nanobot.tools.shell.interpreter_program import _execute


@pytest.mark.parametrize("before", ["", "x = 1\n", "x = '\u2028'\n", "x = '\x0c'\n", "x = 1\r\n"])
@pytest.mark.parametrize("after", ["", "\n", "\r\n"])
def test_a_traceback_shows_the_line_and_marks_the_place(
    before: str, after: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _execute(f"{before}1 / 0{after}", "<call 1>", {}) == 1
    lines = capsys.readouterr().err.split("\n")
    at = lines.index("    1 / 0")
    assert lines[at + 1] == "    ~~^~~"
