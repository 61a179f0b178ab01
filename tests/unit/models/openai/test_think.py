"""`<think>` tags, cut wherever a tokenizer likes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.event import Delta, ThinkingDelta
from nanobot.models.openai.think import ThinkTags

texts = st.lists(
    st.sampled_from(["<think>", "</think>", "<thi", "</", "<", ">", " ", "\n", "a", "think", "é", " " * 40]),
    max_size=12,
).map("".join)


def read(*pieces: str) -> tuple[str, str]:
    """Return thinking and text of a whole answer."""
    tags = ThinkTags()
    deltas: list[Delta] = [delta for piece in pieces for delta in tags.feed(piece)] + tags.end()
    assert all(delta.text for delta in deltas)
    thinking = "".join(delta.text for delta in deltas if isinstance(delta, ThinkingDelta))
    return thinking, "".join(delta.text for delta in deltas if not isinstance(delta, ThinkingDelta))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>hm</think>yes", ("hm", "yes")),
        ("\n <think>\nhm\n</think>\n\nyes ", ("hm\n", "yes ")),
        ("<think>\n\n</think>\n\nyes", ("", "yes")),
        ("<think>hm", ("hm", "")),
        ("<think>hm</thin", ("hm</thin", "")),
        ("  plain", ("", "  plain")),
        ("<thinking>x", ("", "<thinking>x")),
        ("<thi", ("", "<thi")),
        ("say <think>no</think>", ("", "say <think>no</think>")),
        ("<think>a</think>b<think>c</think>", ("a", "b<think>c</think>")),
        ("", ("", "")),
    ],
)
def test_only_the_tags_at_the_start_mean_thinking(text: str, expected: tuple[str, str]) -> None:
    assert read(text) == expected
    assert read(*text) == expected


@given(texts, st.data())
def test_any_cutting_gives_the_same_thinking_and_text(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(*pieces) == read(text)


def test_endless_blanks_are_not_held_back() -> None:
    """A model that falls into writing blank lines is seen doing it."""
    tags = ThinkTags()
    assert any(tags.feed("\n") for _ in range(100))
    assert tags.passed


def test_text_passes_at_once_when_it_cannot_be_a_tag() -> None:
    tags = ThinkTags()
    assert [delta.text for delta in tags.feed("<b>")] == ["<b>"]
    assert tags.passed
