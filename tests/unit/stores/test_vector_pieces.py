"""What of a text gets vectors, and which kind of message it is."""

import pytest

from nanobot.core.message import File, Message, Part, Text, ToolResult
from nanobot.core.vectors import ANSWER, MOST_PIECES, PIECE_CHARACTERS, QUESTION, STATEMENT, pieces_of
from nanobot.stores.sql.embedding import kind_of


def test_a_short_text_is_one_piece_on_one_line() -> None:
    assert pieces_of("  My sister\nlives in Lisbon. ") == ("My sister lives in Lisbon.",)


def test_of_nothing_there_is_no_piece() -> None:
    assert pieces_of(" \n ") == ()


def test_a_long_text_is_cut_between_words_and_its_end_is_left_out() -> None:
    words = [f"word{number}" for number in range(2_000)]
    pieces = pieces_of(" ".join(words))
    assert len(pieces) == MOST_PIECES
    assert all(len(piece) <= PIECE_CHARACTERS for piece in pieces)
    assert " ".join(pieces).split() == words[: len(" ".join(pieces).split())]


def test_a_long_text_without_spaces_is_cut_all_the_same() -> None:
    text = "長" * (PIECE_CHARACTERS + 10)
    assert pieces_of(text) == ("長" * PIECE_CHARACTERS, "長" * 10)


@pytest.mark.parametrize(
    ("role", "parts", "kind"),
    [
        ("user", (Text("I have moved."),), STATEMENT),
        ("user", (Text("Where do I live?"),), QUESTION),
        ("user", (Text("我住在哪里？ "),), QUESTION),
        ("user", (Text("Read this:"), File("a.txt", "Nothing."),), STATEMENT),
        ("assistant", (Text("Shall I help?"),), ANSWER),
        ("tool", (ToolResult("1", "x"),), ANSWER),
    ],
)  # fmt: skip
def test_what_a_user_tells_asks_and_gets_for_an_answer_are_told_apart(
    role: str, parts: tuple[Part, ...], kind: int
) -> None:
    assert kind_of(Message(role, parts)) == kind  # type: ignore[arg-type]
