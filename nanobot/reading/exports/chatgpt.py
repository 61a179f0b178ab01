"""ChatGPT's export: `conversations.json`, where each conversation is a tree of messages.

What is taken is the branch that ends at `current_node`: what users and the model wrote, as text. What the
model noted down about the user (messages to `bio`), the list of it, and what users said of themselves in
their custom instructions are facts.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.core.message import Message, Text
from nanobot.reading.exports.found import ExportContent, FoundConversation, FoundFact, day, moment, timed

ALTERNATIVES = "messages of branches that were given up"
_MACHINERY = "messages of tools, calls of them, and the model's thoughts"
_PICTURES = "pictures, recordings and files within messages"
_STYLE = "custom instructions on how to answer (set them with `POST /v1/sessions/{key}`)"
_EMPTY = "conversations without a message of text"
_BROKEN = "conversations that could not be read"
_MOST_MESSAGES = 100_000
_CITATION = re.compile("\ue200[^\ue200\ue201]{0,4000}\ue201")
_LISTED = re.compile(r"^[ \t]*\d+\.[ \t]*\[(\d{4}-\d\d-\d\d)\]\.?\s*(.+)$", re.MULTILINE)
_NOTED = re.compile(r"^\s*\[?(\d{4}-\d\d-\d\d)?\]?[.:]?\s*(.+)$", re.DOTALL)


class _Author(msgspec.Struct):
    role: str = ""


class _Content(msgspec.Struct):
    content_type: str = ""
    parts: list[Any] | None = None
    text: Any = None
    user_profile: Any = None
    user_instructions: Any = None
    model_set_context: Any = None


class _TreeMessage(msgspec.Struct):
    author: _Author | None = None
    content: _Content | None = None
    create_time: Any = None
    recipient: Any = None
    metadata: dict[str, Any] | None = None


class _Node(msgspec.Struct):
    message: _TreeMessage | None = None
    parent: str | None = None
    children: list[str] | None = None


class _Conversation(msgspec.Struct):
    mapping: dict[str, _Node]
    id: str | None = None
    conversation_id: str | None = None
    title: Any = None
    create_time: Any = None
    current_node: str | None = None


_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read = msgspec.json.Decoder(_Conversation).decode


def read(files: Iterable[tuple[str, bytes]], now: float) -> ExportContent:
    """Return what the files `conversations.json` have, given with their names; what has no time happened
    `now`.

    Raises:
        InvalidRequest: one is none.
    """
    found = ExportContent.nothing("chatgpt")
    contexts: list[tuple[float, _Content]] = []
    for name, content in files:
        _read_file(found, contexts, name, content, now)
    contexts.sort(key=itemgetter(0))
    # What stood in an older one and not in the newest, its user has taken out.
    for take in (_take_memories, _take_profile):
        next((True for at, context in reversed(contexts) if take(context, at, found)), False)
    return found


def _read_file(
    found: ExportContent, contexts: list[tuple[float, _Content]], name: str, content: bytes, now: float
) -> None:
    try:
        raws = _split(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"{name} is no list of conversations as ChatGPT exports it; nothing was imported"
        ) from error
    broken = 0
    for raw in raws:
        try:
            conversation = _read(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            broken += 1
            continue
        _take(found, contexts, conversation, now)
    if raws and broken == len(raws):
        raise InvalidRequest(
            f"{name}: none of its {len(raws)} entries is a conversation as ChatGPT exports it; nothing was"
            " imported"
        )
    if broken:
        found.left_out[_BROKEN] += broken


def _take(
    found: ExportContent, contexts: list[tuple[float, _Content]], conversation: _Conversation, now: float
) -> None:
    id_ = conversation.conversation_id or conversation.id
    branch = _branch(conversation)
    if not id_ or len(branch) > _MOST_MESSAGES:
        found.left_out[_BROKEN] += 1
        return
    said_elsewhere = sum(
        1
        for node in conversation.mapping.values()
        if node.message is not None and _role(node.message) in ("user", "assistant")
    ) - sum(1 for message in branch if _role(message) in ("user", "assistant"))
    if said_elsewhere > 0:
        found.left_out[ALTERNATIVES] += said_elsewhere
    begun = moment(conversation.create_time) or now
    messages = timed(_said(branch, begun, found, contexts), begun)
    if messages:
        title = conversation.title if isinstance(conversation.title, str) else ""
        found.conversations.append(FoundConversation(id_, title, messages, {"id": id_}))
    else:
        found.left_out[_EMPTY] += 1


def _branch(conversation: _Conversation) -> list[_TreeMessage]:
    """Return the messages of the branch that is shown, oldest first."""
    nodes = conversation.mapping
    at = conversation.current_node
    if at not in nodes:
        at = _newest_leaf(nodes)
    seen: set[str] = set()
    branch: list[_TreeMessage] = []
    # A broken file may go round in a circle.
    while at is not None and at in nodes and at not in seen:
        seen.add(at)
        node = nodes[at]
        if node.message is not None:
            branch.append(node.message)
        at = node.parent
    branch.reverse()
    return branch


def _newest_leaf(nodes: dict[str, _Node]) -> str | None:
    leaves = [
        (moment(node.message.create_time) or 0.0, id_)
        for id_, node in nodes.items()
        if not node.children and node.message is not None
    ]
    return max(leaves)[1] if leaves else None


def _role(message: _TreeMessage) -> str:
    return message.author.role if message.author is not None else ""


def _said(
    branch: Iterable[_TreeMessage], begun: float, found: ExportContent, contexts: list[tuple[float, _Content]]
) -> Iterator[tuple[Message, float | None]]:
    """Yield what users and the model said, with its time; take facts and `contexts` on the way."""
    for message in branch:
        role, content = _role(message), message.content
        at = moment(message.create_time)
        if content is None:
            continue
        if content.content_type in ("user_editable_context", "model_editable_context"):
            contexts.append((at or begun, content))
            continue
        text = _text(content, found.left_out)
        if role == "assistant" and message.recipient == "bio":
            _take_note(text, at or begun, found)
        elif role == "tool" or message.recipient not in (None, "all"):
            found.left_out[_MACHINERY] += 1
        elif role not in ("user", "assistant") or not text.strip() or _is_hidden(message):
            continue
        elif content.content_type not in ("text", "multimodal_text"):
            found.left_out[_MACHINERY] += 1
        elif role == "user":
            yield Message("user", (Text(text),)), at
        else:
            yield Message("assistant", (Text(text),), "stop", model=_model(message)), at


def _text(content: _Content, left_out: Counter[str]) -> str:
    """Return the text of a message, without marks of citations that only ChatGPT shows."""
    pieces: list[str] = []
    for part in content.parts or ():
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            pieces.append(part["text"])
        else:
            left_out[_PICTURES] += 1
    if isinstance(content.text, str):
        pieces.append(content.text)
    text = _CITATION.sub("", "\n".join(pieces))
    # JSON may have half a pair of surrogates, which is no text.
    return text.encode("utf-8", "replace").decode()


def _is_hidden(message: _TreeMessage) -> bool:
    return bool((message.metadata or {}).get("is_visually_hidden_from_conversation"))


def _model(message: _TreeMessage) -> str | None:
    name = (message.metadata or {}).get("model_slug")
    return name if isinstance(name, str) else None


# Facts --------------------------------------------------------------------------------------------


def _take_note(text: str, at: float, found: ExportContent) -> None:
    """Take what the model noted down about the user, as "[2026-05-01]. Lives in Berlin"."""
    for line in text.splitlines():
        if (noted := _NOTED.match(line)) is not None and noted[2].strip():
            found.facts.append(FoundFact(noted[2].strip(), (day(noted[1]) if noted[1] else None) or at))


def _take_memories(content: _Content, at: float, found: ExportContent) -> bool:
    """Take the list of what the model had noted down; return whether there is one."""
    if not isinstance(content.model_set_context, str):
        return False
    found.facts += [
        FoundFact(text.strip(), day(noted_on) or at)
        for noted_on, text in _LISTED.findall(content.model_set_context)
    ]
    return True


def _take_profile(content: _Content, at: float, found: ExportContent) -> bool:
    """Take what the user said of themselves; return whether there is something."""
    if isinstance(content.user_instructions, str) and content.user_instructions.strip():
        found.left_out[_STYLE] = 1
    if not isinstance(content.user_profile, str):
        return False
    lines = (line.strip(" \t-*•") for line in content.user_profile.splitlines())
    found.facts += [
        FoundFact(line, at) for line in lines if line and not line.startswith(("User profile:", "```"))
    ]
    return True
