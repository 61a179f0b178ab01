"""The form of a question: each field is an input, and what a browser sends of it is its value."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.api.approval_form import form_fields, read_form
from nanobot.core.tool_question import QuestionChoice, QuestionField, ToolQuestion, checked

SIZES = (QuestionChoice("s, m"), QuestionChoice("l", "Large"))
FIELDS = (
    QuestionField("name", "text", is_required=True),
    QuestionField("age", "integer", "Your age", "in years", least=0, most=150),
    QuestionField("share", "number"),
    QuestionField("sure", "yes_no"),
    QuestionField("size", "choice", choices=SIZES, default="l"),
    QuestionField("sizes", "choices", choices=SIZES),
)
ASKS = ToolQuestion("a server", "Who?", FIELDS)


def shown(typed: dict[str, list[str]] | None = None, *fields: QuestionField) -> str:
    return form_fields(ToolQuestion("a server", "Who?", fields or FIELDS), html.escape, typed)


def test_what_is_filled_in_is_the_answer() -> None:
    typed = {"f0": ["Ann"], "f1": ["9"], "f2": ["0.5"], "f3": ["no"], "f4": ["0"], "f5": ["0", "1"]}
    assert checked(ASKS, read_form(ASKS, typed)) == {
        "name": "Ann",
        "age": 9,
        "share": 0.5,
        "sure": False,
        "size": "s, m",
        "sizes": ["s, m", "l"],
    }


def test_what_is_left_empty_is_left_out_and_its_default_counts() -> None:
    typed = {"f0": ["Ann"], "f1": [""], "f2": [""], "f4": [""]}
    assert checked(ASKS, read_form(ASKS, typed)) == {"name": "Ann", "size": "l"}


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({}, "name is missing"),
        ({"f0": ["Ann"], "f1": ["old"]}, "age must be a whole number"),
        ({"f0": ["Ann"], "f1": ["151"]}, "age must be a whole number"),
        ({"f0": ["Ann"], "f4": ["2"]}, "size must be one of"),
        ({"f0": ["Ann"], "f4": ["²"]}, "size must be one of"),
        ({"f0": ["Ann"], "f5": ["0", "0"]}, "sizes must be a list"),
        ({"f0": ["Ann"], "f3": ["perhaps"]}, "sure must be true or false"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(typed: dict[str, list[str]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked(ASKS, read_form(ASKS, typed))


def test_defaults_stand_in_the_form_and_what_was_typed_in_their_place() -> None:
    field = QuestionField("size", "choice", choices=SIZES, default="l")
    assert '<option value="1" selected>Large' in shown(None, field)
    assert '<option value="0" selected>s, m' in shown({"f0": ["0"]}, field)
    several = QuestionField("sizes", "choices", choices=SIZES, default=("s, m",))
    assert 'value="0" checked' in shown(None, several) and 'value="1">' in shown(None, several)
    assert checked(ToolQuestion("a", "b", (several,)), read_form(ToolQuestion("a", "b", (several,)), {})) == {
        "sizes": []
    }
    assert 'value="Ann"' in shown({"f0": ["Ann"]})


def test_a_form_never_asks_for_a_password_and_marks_what_is_needed() -> None:
    page = shown()
    assert 'type="password"' not in page
    assert page.count(" required") == 1 and "may be left out" in page and "in years" in page


@given(st.text(), st.text(), st.text())
def test_the_words_of_a_stranger_are_text(name: str, about: str, value: str) -> None:
    fields = (
        QuestionField(name, "text", about, about, default=value),
        QuestionField(name, "choices", name, about, choices=(QuestionChoice(value, about),)),
    )
    page = shown(None, *fields)
    known = {"p", "label", "br", "small", "input", "fieldset", "legend"}
    assert {tag.strip("/") for tag in re.findall(r"<(/?\w*)", page)} <= known
    assert set(re.findall(r'<input [^>]*name="([^"]*)"', page)) == {"f0", "f1"}
