"""A stand-in for the engine of a local model: the routes that it has beside chat.

The child process forwards to it, as the contract's stand-in for the engine's library does. Each character is
a token.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.upstream import Asked, Reply, json_reply

MAGIC = 0x67677371


def prompt_of(asked: Asked) -> str:
    """Return the prompt that a request of chat, or for the template, makes."""
    return "".join(f"<{each['role']}>\n{each['content']}\n" for each in asked.json["messages"])


def state_file(tokens: tuple[int, ...], state: bytes = b"") -> bytes:
    """Return the bytes of a slot's file, as the engine writes them."""
    head = struct.pack("<6I", MAGIC, 4, len(tokens) + 4, 0xFFFFFFFF, 1, len(tokens))
    return head + struct.pack(f"<{len(tokens)}i", *tokens) + b"\0\0\0\0" + state


class EngineRoutes:
    """Answers all but chat. `folder`: where the engine keeps the state of slots.

    `slots`: what each slot has read; `read`: the prompts that it was made to read, `actions`: what was done
    with slots, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slots: dict[int, tuple[int, ...]] = {}
        self.read: list[str] = []
        self.actions: list[tuple[str, int]] = []

    def __call__(self, asked: Asked) -> Reply | None:
        """Return the reply; None where it is a matter of chat."""
        url = urlsplit(asked.path)
        match url.path:
            case "/apply-template":
                return json_reply({"prompt": prompt_of(asked)})
            case "/tokenize":
                return json_reply({"tokens": list(map(ord, asked.json["content"]))})
            case "/completion":
                tokens = tuple(asked.json["prompt"])
                self.slots[asked.json["id_slot"]] = tokens
                self.read.append("".join(map(chr, tokens)))
                return json_reply({"content": ""})
            case path if path.startswith("/slots/"):
                return self._act(parse_qs(url.query)["action"][0], int(path.rpartition("/")[2]), asked.json)
            case _:
                return None

    def _act(self, action: str, slot: int, body: Mapping[str, str]) -> Reply:
        self.actions.append((action, slot))
        if action == "erase":
            self.slots.pop(slot, None)
            return json_reply({"n_erased": 0})
        path = self.folder / body["filename"]
        if action == "save":
            path.write_bytes(state_file(self.slots.get(slot, ())))
            return json_reply({"n_saved": len(self.slots.get(slot, ()))})
        content = path.read_bytes()
        (count,) = struct.unpack_from("<I", content, 20)
        self.slots[slot] = struct.unpack_from(f"<{count}i", content, 24)
        return json_reply({"n_restored": count})
