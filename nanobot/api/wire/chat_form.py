"""Chat completions asked with a form: a message and files, as a browser or curl sends them."""

import hashlib
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from nanobot.api.wire.chat_request import ChatRequest, parse_chat
from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Part
from nanobot.http.form import Form
from nanobot.submit.references import InlineFile, file_name

_FILES = ("files", "files[]")
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_DEFAULT_MODEL = "nanobot"


class ChatForm(msgspec.Struct, frozen=True, kw_only=True):
    """The `multipart/form-data` body of `POST /v1/chat/completions`: one message, with any number of files."""

    SCHEMA: ClassVar[Mapping[str, object]] = {
        "anyOf": [
            {"required": ["message"]},
            {"required": ["files"], "properties": {"files": {"minItems": 1}}},
        ]
    }
    message: str = ""
    files: list[bytes] = []
    model: str = _DEFAULT_MODEL
    stream: bool = False
    store: bool = True


def parse_form(form: Form) -> tuple[ChatRequest, bytes]:
    """Return what the form asks, and the bytes by which it is known when it is sent again: each client puts
    new boundaries around the same.

    Raises:
        InvalidRequest: a field is missing, or not what it should be; `param` names it.
    """
    strange = next((file.field for file in form.files if file.field not in _FILES), None)
    if strange is not None:
        raise InvalidRequest(
            f"a file in the field {strange[:40]!r}: files are taken in the field 'files'", param=strange[:40]
        )
    told = next((name for name in _FILES if name in form.fields), None)
    if told is not None:
        raise InvalidRequest(f"{told} is text: it must be a file, sent with a filename", param=told)
    message = form.text("message")
    if message is None and not form.files:
        raise InvalidRequest("Missing required parameter: 'message'.", param="message")
    body = msgspec.json.encode(
        {
            "model": form.text("model") or _DEFAULT_MODEL,
            "messages": [{"role": "user", "content": message or ""}],
            "stream": _switch(form, "stream", default=False),
            "store": _switch(form, "store", default=True),
        }
    )
    request = parse_chat(body)
    said = request.input[-1]
    given: tuple[Part, ...] = tuple(
        InlineFile(file_name(file.name), "", None, file.content, file.mime, f"files[{index}]")
        for index, file in enumerate(form.files)
    )
    asked = msgspec.structs.replace(said, parts=((*said.parts, *given) if message else given))
    digests = b"".join(
        hashlib.blake2b(file.content, digest_size=32).digest() + file.name.encode() for file in form.files
    )
    return msgspec.structs.replace(request, input=(*request.input[:-1], asked)), body + digests


def _switch(form: Form, name: str, *, default: bool) -> bool:
    given = form.text(name)
    if given is None:
        return default
    value = _WORDS.get(given.strip().lower())
    if value is None:
        raise InvalidRequest(f"{name} is {given[:40]!r}: it must be true or false", param=name)
    return value
