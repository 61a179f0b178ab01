"""What of an answer is shown."""

from nanobot.models.local.shown import Shown
from nanobot.models.local.truths import MakerGuard


def shown_of(
    *pieces: str, may_call: bool = True, checks: tuple[tuple[str, str], ...] = ()
) -> tuple[str, str]:
    """What is shown of an answer in these pieces, and the call that it was taken for."""
    shown = Shown(MakerGuard("?", ""), checks, may_call=may_call)
    text = ""
    for piece in pieces:
        text += shown.pass_on(piece)
        if shown.is_over:
            break
    text += "" if shown.is_call else shown.end()
    assert text == shown.text
    return text, shown.call


def test_a_call_is_not_shown() -> None:
    assert shown_of("[cal", "culate 1 + 1]") == ("", "[calculate 1 + 1]")


def test_a_call_behind_a_few_words_is_one() -> None:
    assert shown_of("Nous sommes ", "le [current", "_time], merci") == ("", "[current_time]")
    assert shown_of("It is [calculate 12 ", "* 12", "].", " More.") == ("", "[calculate 12 * 12]")


def test_other_brackets_are_words() -> None:
    text = "See [the page](http://a.test) and x[current], or [c for c in calculate]."
    assert shown_of(*text) == (text, "")


def test_where_nothing_may_be_called_all_is_shown_at_once() -> None:
    shown = Shown(MakerGuard("?", ""), (), may_call=False)
    assert shown.pass_on("A long enough beginning of words.") != ""


def test_a_short_answer_is_shown_at_its_end() -> None:
    assert shown_of("Yes", ".") == ("Yes.", "")
    assert shown_of("") == ("", "")


def test_an_answer_without_the_result_is_the_result() -> None:
    assert shown_of("It is 1400.", may_call=False, checks=(("12 * 12", "144"),)) == ("12 * 12 = 144", "")
