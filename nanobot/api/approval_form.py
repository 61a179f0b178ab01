"""The form in which a question of a tool is answered on the page behind a link: its fields as inputs, and
what a browser sends of them as values.

Fields and choices have numbers there: their names are the words of a stranger.
"""

from collections.abc import Callable, Mapping, Sequence

from nanobot.core.tool_question import (
    MAX_VALUE_CHARS,
    Content,
    QuestionField,
    ToolQuestion,
    read_values,
    wanted,
)

MAX_FORM_BYTES = 512 * 1024
"""Twenty texts, each character of which may take twelve bytes as it is sent."""
MAX_FORM_VALUES = 2_000
Typed = Mapping[str, Sequence[str]]
"""What was sent: the values of each input, by its name."""
Shown = Callable[[str], str]
"""Returns a text as HTML that shows all of it."""
_INPUTS = {"email": "email", "uri": "url", "date": "date"}


def form_fields(question: ToolQuestion, shown: Shown, typed: Typed | None = None) -> str:
    """Return the inputs for the fields of the question, as HTML. `typed`: what they have in them; None: the
    defaults.
    """
    return "".join(
        _labelled(field, f"f{number}", shown, typed) for number, field in enumerate(question.fields)
    )


def read_form(question: ToolQuestion, typed: Typed) -> Content:
    """Return what was filled in; what is empty is left out. Whether it fits, the question says."""
    content: Content = {}
    texts: dict[str, str] = {}
    for number, field in enumerate(question.fields):
        values = [value for value in typed.get(f"f{number}", ()) if value]
        if field.kind == "choices":
            # No box ticked is an answer, except where the field may be left out.
            if values or field.is_required or field.default is not None:
                content[field.name] = [_choice(field, value) for value in values]
        elif field.kind == "choice":
            if values:
                content[field.name] = _choice(field, values[0])
        elif values:
            texts[field.name] = values[0]
    return {**content, **read_values(question, texts)}


def _choice(field: QuestionField, number: str) -> str:
    """Return the value of the choice that has this number; else what was sent, which the question refuses."""
    if number.isascii() and number.isdecimal() and len(number) < 6 and int(number) < len(field.choices):
        return field.choices[int(number)].value
    return number


def _labelled(field: QuestionField, name: str, shown: Shown, typed: Typed | None) -> str:
    title = shown(field.title or field.name)
    # Choices are there to be seen.
    hints = [] if field.kind in ("yes_no", "choice") else [shown(wanted(field))]
    hints += [] if field.is_required or field.default is not None else ["may be left out"]
    about = f"<br>{shown(field.description)}" if field.description else ""
    hint = f"<small>{', '.join(hints)}</small>"
    if field.kind in ("yes_no", "choices"):
        return (
            f"<fieldset><legend>{title}</legend>{hint}{about}{_ticked(field, name, shown, typed)}</fieldset>"
        )
    return f"<p><label>{title}<br>{hint}{about}<br>{_input(field, name, shown, typed)}</label></p>"


def _ticked(field: QuestionField, name: str, shown: Shown, typed: Typed | None) -> str:
    if field.kind == "yes_no":
        kind, options = "radio", [("yes", "yes"), ("no", "no")]
        default = [] if field.default is None else ["yes" if field.default else "no"]
    else:
        kind = "checkbox"
        options = [(str(n), choice.title or choice.value) for n, choice in enumerate(field.choices)]
        chosen = field.default if isinstance(field.default, tuple) else ()
        default = [str(n) for n, choice in enumerate(field.choices) if choice.value in chosen]
    ticked = default if typed is None else typed.get(name, ())
    return "".join(
        f'<br><label><input type="{kind}" name="{name}" value="{value}"{" checked" * (value in ticked)}>'
        f" {shown(words)}</label>"
        for value, words in options
    )


def _input(field: QuestionField, name: str, shown: Shown, typed: Typed | None) -> str:
    required = " required" * (field.is_required and field.default is None)
    if field.kind == "choice":
        default = [str(n) for n, choice in enumerate(field.choices) if choice.value == field.default]
        chosen = default if typed is None else typed.get(name, ())
        options = "".join(
            f'<option value="{n}"{" selected" * (str(n) in chosen)}>{shown(choice.title or choice.value)}'
            for n, choice in enumerate(field.choices)
        )
        return f'<select name="{name}"{required}><option value="">{options}</select>'
    value = str(field.default) if field.default is not None else ""
    if typed is not None:
        value = next(iter(typed.get(name, ())), "")
    if field.kind in ("integer", "number"):
        kind = f'type="number" step="{"1" if field.kind == "integer" else "any"}"'
    else:
        kind = f'type="{_INPUTS.get(field.format, "text")}" maxlength="{MAX_VALUE_CHARS}"'
    return f'<input name="{name}" {kind} value="{shown(value)}" autocomplete="off"{required}>'
