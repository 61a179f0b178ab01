"""Requests for chat completions as a form: a message and files, as a browser or curl sends them."""

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
    """The `multipart/form-data` body of `POST /v1/chat/completions`: one message and any number of files."""

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
    """Return what the form asks, and the bytes that recognise it when it is sent again, which do not depend
    on its boundary.

    Raises:
        InvalidRequest: a field is missing, or not what it should be; `param` names it.
    """
    unknown = next((file.field for file in form.files if file.field not in _FILES), None)
    if unknown is not None:
        raise InvalidRequest(
            f"a file in the field {unknown[:40]!r}: files are taken in the field 'files'", param=unknown[:40]
        )
    text = next((name for name in _FILES if name in form.fields), None)
    if text is not None:
        raise InvalidRequest(f"{text} is text: it must be a file, sent with a filename", param=text)
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
    files: tuple[Part, ...] = tuple(
        InlineFile(file_name(file.name), "", content=file.content, mime=file.mime, path=f"files[{index}]")
        for index, file in enumerate(form.files)
    )
    asked = msgspec.structs.replace(said, parts=((*said.parts, *files) if message else files))
    digests = b"".join(
        hashlib.blake2b(file.content, digest_size=32).digest() + file.name.encode() for file in form.files
    )
    return msgspec.structs.replace(request, input=(*request.input[:-1], asked)), body + digests


def _switch(form: Form, name: str, *, default: bool) -> bool:
    word = form.text(name)
    if word is None:
        return default
    value = _WORDS.get(word.strip().lower())
    if value is None:
        raise InvalidRequest(f"{name} is {word[:40]!r}: it must be true or false", param=name)
    return value
