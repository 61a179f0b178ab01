from nanobot.cli.chat_screen import Screen
from tests.unit.cli.emulator import Emulator


def make(columns: int = 80, rows: int = 24) -> tuple[Emulator, Screen]:
    emulator = Emulator(columns, rows)
    return emulator, Screen(emulator, emulator.size)


def test_live_lines_are_replaced_and_put_lines_stay_above_them() -> None:
    emulator, screen = make()
    screen.show(["thinking"])
    screen.show(["a", "b"])
    screen.put(["kept"])
    screen.show(["a", "c", "d"])
    assert emulator.text == "kept\na\nc\nd"
    screen.clear()
    assert emulator.text == "kept"


def test_a_line_that_did_not_change_is_not_written_again() -> None:
    emulator, screen = make()
    screen.show(["same", "old"])
    before = emulator.writes
    screen.show(["same", "old"])
    assert emulator.writes == before
    emulator.highest_climb = 0
    screen.show(["same", "new"])
    assert emulator.highest_climb == 1


def test_of_more_lines_than_the_screen_holds_the_last_ones_are_live() -> None:
    emulator, screen = make(rows=10)
    for count in range(1, 50):
        screen.show([f"line {number}" for number in range(count)])
    assert emulator.text.splitlines() == [f"line {number}" for number in range(41, 49)]


def test_live_lines_vanish_without_a_trace_when_the_window_was_made_narrower() -> None:
    emulator, screen = make(columns=80)
    screen.put(["kept"])
    screen.show(["x" * 79, "y" * 30])
    emulator.columns = 25
    screen.show(["z"])
    assert emulator.text == "kept\nz"


def test_wide_characters_count_double_when_lines_were_wrapped() -> None:
    emulator, screen = make(columns=40)
    screen.show(["你" * 15])
    emulator.columns = 20
    screen.clear()
    assert emulator.text == ""


def test_what_was_live_becomes_final_without_being_written_again() -> None:
    emulator, screen = make()
    screen.show(["a", "b"])
    before = emulator.writes
    screen.settle(["a", "b"])
    assert emulator.writes == before
    screen.show(["c"])
    screen.clear()
    assert emulator.text == "a\nb"
