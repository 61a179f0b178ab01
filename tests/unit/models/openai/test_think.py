"""`<think>` tags, cut wherever a tokenizer likes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.event import Delta, ThinkingDelta
from nanobot.models.openai.think import ThinkTags, split_unopened

texts = st.lists(
    st.sampled_from(["<think>", "</think>", "<thi", "</", "<", ">", " ", "\n", "a", "think", "é", " " * 40]),
    max_size=12,
).map("".join)


def read(*pieces: str, tags: ThinkTags | None = None) -> tuple[str, str]:
    """Return thinking and text of a whole answer."""
    tags = tags or ThinkTags()
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
        ("[THINK]hm[/THINK]yes", ("hm", "yes")),
        ("◁think▷hm◁/think▷\nyes", ("hm", "yes")),
        ("<seed:think>\nhm</think></seed:think>yes", ("hm</think>", "yes")),
        ("<|begin_of_thought|>hm<|end_of_thought|>\n\nyes", ("hm", "yes")),
        ("[THINKING]no", ("", "[THINKING]no")),
        ("", ("", "")),
    ],
)
def test_only_the_tags_at_the_start_mean_thinking(text: str, expected: tuple[str, str]) -> None:
    assert read(text) == expected
    assert read(*text) == expected


@given(texts, st.data())
def test_any_cutting_gives_the_same_thinking_and_text(text: str, data: st.DataObject) -> None:
    assert read(*cut(text, data)) == read(text)


@given(texts, st.data())
def test_any_cutting_gives_the_same_where_the_opening_tag_is_missing(text: str, data: st.DataObject) -> None:
    pieces = cut(text, data)
    assert read(*pieces, tags=ThinkTags(unopened=True)) == read(text, tags=ThinkTags(unopened=True))


def cut(text: str, data: st.DataObject) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("First I consider 2+2.\n</think>\n\nIt is 4.", "First I consider 2+2.\n", "It is 4."),
        ("hm\n</think>It is 4.", "hm\n", "It is 4."),
        ("so it is 4.</think>\n\nIt is 4.", "so it is 4.", "It is 4."),
        ("</think>\n\nIt is 4.", "", "It is 4."),
        ("hm\n</think>\n", "hm\n", ""),
    ],
)
def test_a_text_that_closes_what_it_never_opened_is_thinking_and_answer(
    text: str, thought: str, answer: str
) -> None:
    """Some chat templates put the opening tag into the prompt."""
    assert split_unopened(text) == (text.removesuffix(answer) if answer else text, answer)
    assert read(*text, tags=ThinkTags(unopened=True)) == (thought, answer)


@pytest.mark.parametrize(
    "text",
    [
        "The tag <think> begins what </think> ends.",
        "Thinking ends with </think>, then comes the answer.",
        "Write:\n<think>\nhm\n</think>\n\nand then answer.",
        "Write:\n```\nhm\n</think>\n```\nand then answer.",
        "first\n</think>\nsecond\n</think>\nthird",
        "The tag `<think>` opens it.",
    ],
)
def test_an_answer_that_speaks_of_the_tags_stays_whole(text: str) -> None:
    assert split_unopened(text) is None
    assert read(text) == ("", text)


@pytest.mark.parametrize(
    "text",
    [
        "Thinking ends with </think>, then comes the answer.",
        "Write `</think>` behind it.",
        "The tag <think> begins what </think> ends.",
        "Write:\n```\nhm\n</think>\n```\nand then answer.",
        "A </think>" * 20 + "\n</think>\n\nyes",
        "Models write <think>…</think> first.",
        "Models write <think>...</think> first.",
        "It begins with <think>some reasoning.</think>\n\nThen the answer follows.",
        "The form is <think>reasoning.</think>",
    ],
)
def test_an_answer_that_mentions_the_tags_stays_whole_though_thinking_was_expected(text: str) -> None:
    for pieces in ((text,), tuple(text)):
        assert read(*pieces, tags=ThinkTags(unopened=True)) == ("", text)


def test_thinking_that_mentions_the_tag_ends_where_the_tag_stands_alone() -> None:
    text = "They ask how `</think>` is used. So:\n</think>\n\nIt ends thinking."
    for pieces in ((text,), tuple(text)):
        thought, answer = read(*pieces, tags=ThinkTags(unopened=True))
        assert (thought, answer) == ("They ask how `</think>` is used. So:\n", "It ends thinking.")


@pytest.mark.parametrize("text", ["It is 4.</think>It is 4.", "so it is 4</think>\nIt is 4.", "hm</think>"])
def test_a_tag_behind_a_sentence_or_at_the_end_of_a_line_closes_expected_thinking(text: str) -> None:
    thought, _, answer = text.partition("</think>")
    for pieces in ((text,), tuple(text)):
        assert read(*pieces, tags=ThinkTags(unopened=True)) == (thought, answer.lstrip())


def test_an_answer_without_any_tag_is_text_though_thinking_was_expected() -> None:
    assert read("It ", "is 4.", tags=ThinkTags(unopened=True)) == ("", "It is 4.")
    assert read("<think>hm</think>It is 4.", tags=ThinkTags(unopened=True)) == ("hm", "It is 4.")


def test_endless_blanks_are_not_held_back() -> None:
    """A model that falls into writing blank lines is seen doing it."""
    tags = ThinkTags()
    assert any(tags.feed("\n") for _ in range(100))
    assert tags.passed


def test_text_passes_at_once_when_it_cannot_be_a_tag() -> None:
    tags = ThinkTags()
    assert [delta.text for delta in tags.feed("<b>")] == ["<b>"]
    assert tags.passed
