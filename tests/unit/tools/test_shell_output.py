"""What is kept of a command's output, and what a model is shown of it."""

from nanobot.tools.shell.output import HeadAndTail, Unread, readable


def test_a_short_output_is_kept_whole() -> None:
    output = HeadAndTail(100)
    for part in (b"one\n", b"two\n"):
        output.add(part)
    assert output.text() == "one\ntwo\n"


def test_of_a_long_output_the_first_and_the_last_lines_are_kept() -> None:
    output = HeadAndTail(90)
    for number in range(1000):
        output.add(f"line {number}\n".encode())
    text = output.text()
    assert text.startswith("line 0\nline 1\n") and text.endswith("line 998\nline 999\n")
    shown = [line for line in text.splitlines() if not line.startswith("[")]
    left_out = 8890 - sum(len(line) + 1 for line in shown)
    assert f"[{left_out} of 8890 bytes left out; write the output to a file to see all of it]" in text
    assert len(text) < 250


def test_one_long_line_is_cut_in_the_middle() -> None:
    output = HeadAndTail(30)
    output.add(b"a" * 1000 + b"b" * 1000)
    note = "[1970 of 2000 bytes left out; write the output to a file to see all of it]"
    assert output.text() == f"{'a' * 10}\n{note}\n{'b' * 20}"


def test_no_more_is_held_than_twice_what_may_be() -> None:
    output = HeadAndTail(3000)
    for _ in range(1000):
        output.add(b"x" * 1000)
    assert output._tail_size < 2 * 3000  # noqa: SLF001 - that is what is promised


def test_what_was_read_is_gone_and_what_was_not_read_in_time_is_said_to_be_lost() -> None:
    unread = Unread(10)
    unread.add(b"abc")
    assert unread and unread.take() == "abc"
    assert not unread and unread.take() == ""
    unread.add(b"0123456789")
    unread.add(b"abc")
    assert unread.take() == "[10 bytes before this are lost: they were not read in time]\nabc"


def test_other_characters_than_text_are_shown_as_what_they_are() -> None:
    assert readable(b"a\xffb\x1b[31mred\x00 \xe2\x82\xac\n") == "a\\xffb\\x1b[31mred\\x00 €\n"


def test_a_line_that_is_written_over_is_shown_as_it_was_in_the_end() -> None:
    assert readable(b"10%\r50%\r100%\r\ndone\r\n") == "100%\ndone\n"
