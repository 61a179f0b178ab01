"""A text that repeats itself without end is told from lists, code and tables."""

import pytest

from nanobot.models.local.loops import LoopBrake


def loops(text: str) -> bool:
    brake = LoopBrake()
    pieces = (text[at : at + 5] for at in range(0, len(text), 5))
    return any(brake.before_loop(piece) and brake.is_loop for piece in pieces)


@pytest.mark.parametrize(
    "text",
    [
        "The sea came back to the shore. " * 12,
        "Once. " + "and so on and " * 30,
        "Es war einmal ein Mann.\nUnd er ging fort.\n" * 10,
        "".join(f"{number}. Drink a glass of water before you go to bed.\n" for number in range(1, 60)),
        "我可以帮助你回答各种问题。" * 20,
        "Ich bin da, um " + "dir zu helfen, " * 9,
        "Ich bin da, um" + " dir zu helfen" * 6,
        "我可以帮助你回答问题，" * 6,
        "Il mare è un mare, un mare,\nUn mare che si muove, e che canta la notte tra le onde lontane.\n\n"
        * 4,
        "0.142857" + "142857" * 120,
        "The end." + "\n" * 700,
        "| | | " * 130,
    ],
)
def test_a_phrase_that_comes_again_and_again_is_a_loop(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "hello " * 15,
        "hello world " * 8,
        "ha" * 20,
        "ha ha ha " * 6,
        "哈哈哈" * 20,
        "| --- | --- |\n" * 12,
        "-" * 500,
        " ".join(map(str, range(300))),
        "".join(f"7 x {number} = {7 * number}\n" for number in range(1, 21)),
        "\n".join(f'print("Hello {number}")' for number in range(8)),
        "1. Go to bed early.\n2. Avoid screens.\n3. Keep the room dark and cool.\n4. No coffee after noon.",
        "The sea came back to the shore. " * 3,
    ],
)
def test_what_only_looks_alike_is_none(text: str) -> None:
    assert not loops(text)


def test_of_a_piece_that_is_a_loop_only_the_beginning_is_shown() -> None:
    text = "The sea came back to the shore. " * 40
    shown = LoopBrake().before_loop(text)
    assert text.startswith(shown) and 4 <= shown.count("shore") < 8
