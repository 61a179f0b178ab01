"""What a tool asks a person in the middle of a call, and what counts as an answer."""

import json
import math
from typing import Any, Literal

import msgspec

from nanobot.core.late_pattern import LatePattern

FieldKind = Literal["text", "yes_no", "integer", "number", "choice", "choices"]
Content = dict[str, Any]
"""The answer: the value of each field that was filled in."""
MAX_WORDS_CHARS = 200
"""The longest message that is taken for the value of a field."""
MAX_VALUE_CHARS = 4_000
MAX_WHOLE = 2**63 - 1
"""The largest whole number that an answer may have, in either direction: one that all programs can hold."""
_FORMATS = {
    "email": LatePattern(r"[^@\s]{1,64}@[^@\s]{1,255}"),
    "uri": LatePattern(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"),
    "date": LatePattern(r"\d{4}-\d{2}-\d{2}"),
    "date-time": LatePattern(
        r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:\d{2})?"
    ),
}
_YES_NO = {"yes": True, "true": True, "no": False, "false": False}
_QUESTION_MARKS = LatePattern(r"[?？؟⁉❓❔]")


class QuestionChoice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A value that a field may have, and what people call it where that is something else."""

    value: str
    title: str = ""


class QuestionField(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing that is asked. `least`, `most`: of a number its bounds, of a text how many characters, of
    choices how many. `format`: of a text, as JSON schema has it. `default`: what counts where
    nothing is filled in.
    """

    name: str
    kind: FieldKind
    title: str = ""
    description: str = ""
    is_required: bool = False
    choices: tuple[QuestionChoice, ...] = ()
    least: float | None = None
    most: float | None = None
    format: str = ""
    default: str | int | float | bool | tuple[str, ...] | None = None


class ToolQuestion(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What has to be answered before a call goes on. Its words are those of a stranger.

    `who` asks; `text`: what. `fields`: what is to be filled in; none: a yes is enough. `link`: a page that
    the person is to open first; nobody else does. `state`: what the tool needs to go on, as it wrote it.
    `note`: what it said without the answer.
    """

    who: str
    text: str
    fields: tuple[QuestionField, ...] = ()
    link: str | None = None
    state: str = ""
    note: str = ""

    @property
    def shown(self) -> "ToolQuestion":
        """The question without what only the tool needs."""
        return msgspec.structs.replace(self, state="")

    @property
    def field(self) -> QuestionField | None:
        """The only field to fill in; None where there are none, or several. One that may be left out counts
        only where no other has to be filled in.
        """
        needed = [each for each in self.fields if each.is_required and each.default is None]
        asked = needed or list(self.fields)
        return asked[0] if len(asked) == 1 else None

    @property
    def takes_yes(self) -> bool:
        """Whether a yes is an answer."""
        return self.field.kind == "yes_no" if self.field is not None else not self.fields


class AnsweredQuestion(msgspec.Struct, frozen=True, gc=False):
    """A question of a tool, and what a person answered: the value of each field, as JSON."""

    question: ToolQuestion
    content: str = "{}"


def in_words(question: ToolQuestion, text: str, *, is_yes: bool) -> Content | None:
    """Return what a message answers to the question; None: it is no clear answer. `is_yes`: it says yes, and
    nothing else. A no is the caller's business, but see `takes_no`.
    """
    field = question.field
    if field is None:
        return checked(question, {}) if is_yes and not question.fields else None
    if field.kind == "yes_no":
        return {field.name: True} if is_yes else None
    text = text.strip()
    if not text or "\n" in text or len(text) > MAX_WORDS_CHARS or _QUESTION_MARKS.search(text):
        return None
    try:
        return checked(question, {field.name: _read(field, text)})
    except ValueError:
        return None


def takes_no(question: ToolQuestion, text: str) -> Content | None:
    """Return the answer that a no is; None: whoever says no answers nothing. To a plain question whether
    something is so, it is one, and so is the value of a choice.
    """
    field = question.field
    if field is None:
        return None
    if field.kind == "yes_no":
        return {field.name: False}
    if field.kind == "choice" and (value := _choice(field, text.strip())) is not None:
        return {field.name: value}
    return None


def checked(question: ToolQuestion, content: Content) -> Content:
    """Return the content, with the defaults of what is left out, where it answers the question.

    Raises:
        ValueError: it does not; the text says what is wrong with which field.
    """
    fields = {field.name: field for field in question.fields}
    for name in content:
        if name not in fields:
            raise ValueError(
                f"there is no field {name[:80]!r}; the fields are: {', '.join(fields) or 'none'}"
            )
    content = {**_defaults(question), **content}
    for field in question.fields:
        if field.name not in content:
            if field.is_required:
                raise ValueError(f"{field.name} is missing: it must be {_wanted(field)}")
        elif not _fits(field, content[field.name]):
            raise ValueError(f"{field.name} must be {_wanted(field)}")
    return content


def _defaults(question: ToolQuestion) -> Content:
    defaults = {field.name: field.default for field in question.fields if field.default is not None}
    return {name: list(each) if isinstance(each, tuple) else each for name, each in defaults.items()}


def decided(question: ToolQuestion | None, answer: str, content: Content | None) -> str | None:
    """Return the content of a decision on an approval as it is kept: JSON; None where there is none.

    Raises:
        ValueError: the decision does not fit the approval; the text says why.
    """
    if question is None or answer == "deny":
        if content:
            raise ValueError("there is nothing to answer here: leave the content out")
        return None
    if answer != "once":
        raise ValueError(f"the tool asks a question, which can be answered only once, not with {answer!r}")
    return json.dumps(checked(question, content or {}), ensure_ascii=False)


def read_values(question: ToolQuestion | None, values: dict[str, str]) -> Content:
    """Return the values of fields as they were typed, each as what its field wants."""
    kinds = {field.name: field for field in question.fields} if question is not None else {}
    return {name: _typed(kinds[name], text) if name in kinds else text for name, text in values.items()}


def _typed(field: QuestionField, text: str) -> object:
    if field.kind == "yes_no":
        return _YES_NO.get(text.strip().casefold(), text)
    try:
        return _read(field, text)
    except ValueError:
        # Whoever checks it says what it has to be.
        return text


def _read(field: QuestionField, text: str) -> object:
    """Return what the text means as a value of the field.

    Raises:
        ValueError: nothing.
    """
    match field.kind:
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "choice":
            return _choice(field, text)
        case "choices":
            return [_choice(field, each.strip()) for each in text.split(",")]
        case _:
            return text


def _choice(field: QuestionField, text: str) -> str | None:
    said = text.casefold().rstrip(".!")
    for choice in field.choices:
        if said in (choice.value.casefold(), choice.title.casefold()):
            return choice.value
    return None


def _fits(field: QuestionField, value: object) -> bool:
    values = {choice.value for choice in field.choices}
    match field.kind:
        case "yes_no":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and _is_number(value) and _within(field, value)
        case "number":
            return isinstance(value, int | float) and _is_number(value) and _within(field, value)
        case "choice":
            return isinstance(value, str) and value in values
        case "choices":
            return (
                isinstance(value, list)
                and all(isinstance(each, str) and each in values for each in value)
                and len(set(value)) == len(value)
                and _within(field, len(value))
            )
        case _:
            if not isinstance(value, str) or len(value) > MAX_VALUE_CHARS or not _within(field, len(value)):
                return False
            if not _is_text(value):
                return False
            form = _FORMATS.get(field.format)
            return form is None or form.fullmatch(value) is not None


def _is_number(value: float) -> bool:
    """Return whether it is a number that every program takes as it is written."""
    if isinstance(value, bool):
        return False
    return abs(value) <= MAX_WHOLE if isinstance(value, int) else math.isfinite(value)


def _is_text(value: str) -> bool:
    """Return whether it has no half of a surrogate pair, which can be neither stored nor sent."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(field: QuestionField, value: float) -> bool:
    return (field.least is None or value >= field.least) and (field.most is None or value <= field.most)


def _wanted(field: QuestionField) -> str:
    """Return what a value of the field has to be, in words."""
    match field.kind:
        case "yes_no":
            return "true or false"
        case "integer":
            return f"a whole number{_bounds(field, '')}"
        case "number":
            return f"a number{_bounds(field, '')}"
        case "choice":
            return f"one of {', '.join(choice.value for choice in field.choices)}"
        case "choices":
            values = ", ".join(choice.value for choice in field.choices)
            return f"a list of some of {values}{_bounds(field, ' of them')}"
        case _:
            form = f" of the form {field.format}" if field.format in _FORMATS else ""
            return f"a text{form}{_bounds(field, ' characters')}"


def _bounds(field: QuestionField, unit: str) -> str:
    least, most = field.least, field.most
    if least is not None and most is not None:
        return f", {least:g} to {most:g}{unit}"
    if least is not None:
        return f", at least {least:g}{unit}"
    return f", at most {most:g}{unit}" if most is not None else ""


def wanted(field: QuestionField) -> str:
    """Return what a value of the field has to be, in words for people."""
    words = "yes or no" if field.kind == "yes_no" else _wanted(field)
    if field.default is None:
        return words
    default = field.default
    if isinstance(default, bool):
        default = "yes" if default else "no"
    return f"{words} ({', '.join(default) if isinstance(default, tuple) else default} if you leave it out)"
