"""Exports of other programs, as small as they can be."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

AT = 1_714_500_000.0
Node = dict[str, Any]


def node(
    id_: str,
    parent: str,
    role: str,
    text: str,
    at: float | None = AT,
    *,
    content: Mapping[str, object] | None = None,
    recipient: str = "all",
    **metadata: object,
) -> Node:
    """Return a node of ChatGPT's tree."""
    return {
        "id": id_,
        "parent": parent,
        "children": [],
        "message": {
            "id": id_,
            "author": {"role": role, "name": None, "metadata": {}},
            "create_time": at,
            "content": content or {"content_type": "text", "parts": [text]},
            "recipient": recipient,
            "metadata": metadata,
        },
    }


def conversation(id_: str, nodes: Sequence[Node], *, current: str | None = None, at: float = AT) -> Node:
    """Return a conversation of ChatGPT; `current`: its newest node, the last one if not given."""
    mapping = {each["id"]: {**each, "children": []} for each in nodes}
    mapping["root"] = {"id": "root", "parent": None, "children": [], "message": None}
    for each in nodes:
        mapping[each["parent"]]["children"].append(each["id"])
    return {
        "id": id_,
        "conversation_id": id_,
        "title": f"About {id_}",
        "create_time": at,
        "update_time": at + 100,
        "mapping": mapping,
        "current_node": current or nodes[-1]["id"],
    }


def exchange(id_: str, *said: str, at: float = AT) -> Node:
    """Return a conversation in which the user and the model speak in turn."""
    names = ["root", *(f"{id_}-{number}" for number in range(len(said)))]
    nodes = [
        node(names[number + 1], names[number], ("user", "assistant")[number % 2], text, at + number)
        for number, text in enumerate(said)
    ]
    return conversation(id_, nodes, at=at)


def chatgpt_zip(path: Path, *conversations: Node) -> Path:
    """Write ChatGPT's export."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", json.dumps(conversations))
        archive.writestr("user.json", "{}")
    return path


def workspace(folder: Path) -> Path:
    """Write the workspace of HKUDS' nanobot, with two chats and notes."""
    for each in ("memory", "sessions"):
        (folder / each).mkdir(parents=True)
    (folder / "memory/MEMORY.md").write_text("# Memory\n\n## Preferences\n\n- likes short answers\n")
    (folder / "memory/HISTORY.md").write_text("[2025-05-01 10:00] USER: hello\n")
    (folder / "SOUL.md").write_text("You are a pirate.\n")
    session(folder, "telegram_42", "telegram:42", "my cat is Kim", "A fine name.")
    session(folder, "telegram_77", "telegram:77", "my dog is Rex", "A good dog.")
    session(folder, "cron_1", "cron:1", "tick", "tock")
    return folder


def session(folder: Path, stem: str, key: str, *said: str) -> None:
    """Write a session in which the user and the model speak in turn."""
    lines: list[dict[str, object]] = [
        {"_type": "metadata", "key": key, "created_at": "2025-05-01T10:00:00", "metadata": {}}
    ]
    for number, text in enumerate(said):
        role = ("user", "assistant")[number % 2]
        lines.append({"role": role, "content": text, "timestamp": f"2025-05-01T10:00:{number:02}"})
    content = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"sessions/{stem}.jsonl").write_text(content)
