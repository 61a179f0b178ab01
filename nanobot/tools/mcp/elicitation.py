"""What a server asks back, as a question to a person; what is not asked, and why."""

import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nanobot.core.tool_question import AnsweredQuestion, QuestionChoice, QuestionField, ToolQuestion, checked
from nanobot.core.unseen import without_unseen
from nanobot.tools.mcp.messages import InputAnswer, InputRequest, InputRequired

MAX_MESSAGE_CHARS = 4_000
MOST_FIELDS = 20
MOST_CHOICES = 50
MAX_NAME_CHARS = 100
MAX_TEXT_CHARS = 500
MAX_LINK_CHARS = 2_000
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SECRET = re.compile(
    r"pass[ _-]?(word|wd|phrase|code|key)|\bpwd\b|secret|credential|^token$"
    r"|(access|auth|api|bearer|refresh|session)[ _-]?token|(api|private|access|secret)[ _-]?key"
    r"|\bpin([ _-]?code)?\b|\bcv[vc]2?\b|(credit|debit|card)[ _-]?(card|number)|\bssn\b"
    r"|social[ _-]security|\botp\b|one[ _-]time[ _-](code|pass)|\b[2m]fa\b|security[ _-]code",
    re.IGNORECASE,
)
_NO_SECRETS = (
    "the server asks for something secret ({}) in a form, which the protocol forbids: nobody was asked, and"
    " the call was not completed"
)


class AskedSoFar(msgspec.Struct, frozen=True):
    """What is to be asked one after another, the first of it now, and what was answered; `state` and
    `keeps_answers` as in `InputRequired`.
    """

    asks: tuple[InputRequest, ...]
    answers: dict[str, InputAnswer]
    state: str | None
    keeps_answers: bool

    @classmethod
    def of(cls, required: InputRequired, answers: dict[str, InputAnswer]) -> "AskedSoFar":
        """Return what is to be asked now. `answers`: given before."""
        kept = answers if required.keeps_answers else {}
        return cls(required.asks, kept, required.state, required.keeps_answers)

    def after(self, content: str) -> "AskedSoFar":
        """Return what is left once the first was answered with `content`."""
        first, *rest = self.asks
        given = msgspec.json.decode(content, type=dict[str, str | int | float | bool | tuple[str, ...]])
        is_link = _params(first).get("mode") == "url"
        answers = {**self.answers, first.key: InputAnswer(None if is_link else given)}
        return AskedSoFar(tuple(rest), answers, self.state, self.keeps_answers)

    def question(self, server: str, note: str = "") -> ToolQuestion:
        """Return the question to a person.

        Raises:
            ValueError: it must not be asked, or cannot be; the text says why.
        """
        state = msgspec.json.encode(self).decode()
        return question(server, _params(self.asks[0]), state=state, note=note)


def so_far(answered: AnsweredQuestion) -> AskedSoFar:
    """Return what is left to be asked after the answer."""
    state = msgspec.json.decode(answered.question.state, type=AskedSoFar)
    return state.after(answered.content)


def _params(request: InputRequest) -> dict[str, Any]:
    params: dict[str, Any] = msgspec.json.decode(request.params)
    return params


def question(server: str, params: dict[str, Any], *, state: str = "", note: str = "") -> ToolQuestion:
    """Return what the params of an elicitation ask.

    Raises:
        ValueError: it must not be asked, or cannot be; the text says why.
    """
    text = str(params.get("message") or "")
    if len(text) > MAX_MESSAGE_CHARS:
        raise ValueError(
            f"the server asks a question of {len(text)} characters, {MAX_MESSAGE_CHARS} are read: nobody was"
            " asked, and the call was not completed"
        )
    who = f"the MCP server {server}"
    if params.get("mode") == "url":
        return ToolQuestion(who, text, link=_link(str(params.get("url") or "")), state=state, note=note)
    fields = _fields(params.get("requestedSchema") or {})
    for field in fields:
        told = field.name, field.title, field.description, text
        if field.kind in ("text", "integer", "number") and any(map(_asks_for_secret, told)):
            raise ValueError(_NO_SECRETS.format(repr(field.name)))
    return ToolQuestion(who, text, fields, state=state, note=note)


def _asks_for_secret(text: str) -> bool:
    # As people read it: nothing that is not seen, and broad letters as the usual ones.
    return _SECRET.search(unicodedata.normalize("NFKC", without_unseen(text))) is not None


def _link(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        is_safe = is_safe and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_safe = False
    # What looks like another address in a font is none of ASCII.
    if not is_safe or not url.isascii() or not url.isprintable() or len(url) > MAX_LINK_CHARS:
        raise ValueError(
            "the server wants the user to open a page whose address is not a plain one of https: nobody was"
            " asked, and the call was not completed"
        )
    return url


def _fields(schema: dict[str, Any]) -> tuple[QuestionField, ...]:
    properties = schema.get("properties") or {}
    needed = schema.get("required") or ()
    if not isinstance(properties, dict) or not isinstance(needed, list | tuple):
        raise ValueError(_not_simple("its form"))
    if len(properties) > MOST_FIELDS:
        raise ValueError(
            f"the server asks for {len(properties)} things at once, at most {MOST_FIELDS} are asked: the call"
            " was not completed"
        )
    return tuple(
        _with_default(_field(name, each, is_required=name in needed), each.get("default"))
        for name, each in properties.items()
    )


def _with_default(field: QuestionField, default: object) -> QuestionField:
    """Return the field with its default, if that is a value of it."""
    if default is None:
        return field
    try:
        checked(ToolQuestion("", "", (field,)), {field.name: default})
    except ValueError:
        return field
    value: Any = tuple(default) if isinstance(default, list) else default
    return msgspec.structs.replace(field, default=value)


def _field(name: str, schema: Any, *, is_required: bool) -> QuestionField:
    # A name with what nobody sees could not be answered to.
    is_plain = 0 < len(name) <= MAX_NAME_CHARS and "\n" not in name and without_unseen(name) == name
    if not isinstance(schema, dict) or not is_plain:
        raise ValueError(_not_simple(ascii(name[:MAX_NAME_CHARS])))
    title, description = _text(schema.get("title")), _text(schema.get("description"))
    if schema.get("format") == "password" or schema.get("writeOnly") is True:
        raise ValueError(_NO_SECRETS.format(repr(name)))
    made = QuestionField(name, "text", title, description, is_required)
    kind = schema.get("type")
    if kind == "boolean":
        return msgspec.structs.replace(made, kind="yes_no")
    if kind in ("integer", "number"):
        least, most = _number(schema.get("minimum")), _number(schema.get("maximum"))
        whole = "integer" if kind == "integer" else "number"
        return msgspec.structs.replace(made, kind=whole, least=least, most=most)
    if kind == "array" and isinstance(schema.get("items"), dict):
        choices = _choices(name, schema["items"])
        if choices:
            least, most = _number(schema.get("minItems")), _number(schema.get("maxItems"))
            return msgspec.structs.replace(made, kind="choices", choices=choices, least=least, most=most)
    if kind in ("string", None):
        choices = _choices(name, schema)
        if choices:
            return msgspec.structs.replace(made, kind="choice", choices=choices)
        if kind == "string":
            least, most = _number(schema.get("minLength")), _number(schema.get("maxLength"))
            form = schema.get("format")
            form = form if isinstance(form, str) else ""
            return msgspec.structs.replace(made, least=least, most=most, format=form[:MAX_NAME_CHARS])
    raise ValueError(_not_simple(repr(name)))


def _choices(name: str, schema: dict[str, Any]) -> tuple[QuestionChoice, ...]:
    """Return the values that may be chosen; none where anything may be written."""
    named = schema.get("oneOf") or schema.get("anyOf")
    if isinstance(named, list):
        choices = [(each.get("const"), each.get("title")) for each in named if isinstance(each, dict)]
    elif isinstance(schema.get("enum"), list):
        titles = schema.get("enumNames")
        titles = titles if isinstance(titles, list) and len(titles) == len(schema["enum"]) else []
        choices = list(zip(schema["enum"], titles or [None] * len(schema["enum"]), strict=True))
    else:
        return ()
    found = tuple(
        QuestionChoice(value, _text(title))
        for value, title in choices
        if isinstance(value, str) and len(value) <= MAX_TEXT_CHARS
    )
    if not found or len(found) != len(choices) or len(found) > MOST_CHOICES:
        raise ValueError(_not_simple(repr(name)))
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    text = " ".join(value.split())
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}…"


def _number(value: object) -> float | None:
    """Return a bound; None where it is not one that a number could have."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _not_simple(what: str) -> str:
    return (
        f"the server asks for {what}, which is no text, number, choice or yes and no: nobody was asked, and"
        " the call was not completed"
    )
