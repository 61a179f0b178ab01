"""An MCP server over standard input, written without the SDK: a small warehouse.

    python bench/eval/tool_server.py DIRECTORY

Orders are written into its file `orders`, a line each; what is noted about any item is in its file `note`.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

STOCK = {"kumquat": 41, "quince": 7, "medlar": 0}
NEEDLE = "medlar jam, shelf M-17"
_WORD = {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
_READS = {"readOnlyHint": True}
_TOOLS = [
    {"name": "stock", "description": "How many there are of an item.", "inputSchema": _WORD},
    {"name": "ledger", "description": "The whole ledger of the warehouse: long.", "inputSchema": _NOTHING},
    {"name": "note", "description": "What is noted about an item.", "inputSchema": _WORD},
    {"name": "weigh", "description": "Weigh an item: the scale needs a second try.", "inputSchema": _WORD},
    {"name": "order", "description": "Order an item.", "inputSchema": _WORD},
    {"name": "slow_order", "description": "Order an item from abroad: takes long.", "inputSchema": _WORD},
]
_WRITES = ("order", "slow_order")


def ledger() -> str:
    """Return some 400 kB, with one line of interest in the middle."""
    lines = [
        f"entry {number:05d}: nothing of interest, page {number % 97}, no items" for number in range(8_000)
    ]
    lines[3_412] = f"entry 03412: {NEEDLE}, 230 jars"
    return "\n".join(lines)


class Warehouse:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._weighed = 0

    def call(self, name: str, item: str) -> tuple[str, bool] | None:
        """Return the text of the result, and whether it is an error; None: there is none for now."""
        if name in _WRITES:
            with (self._directory / "orders").open("a") as file:
                file.write(f"{item}\n")
            return None if name == "slow_order" else (f"ordered: {item}", False)
        if name == "ledger":
            return ledger(), False
        if name == "note":
            return (self._directory / "note").read_text(), False
        if name == "weigh":
            self._weighed += 1
            return ("the scale is not level: try again", True) if self._weighed == 1 else ("3,250 g", False)
        return (f"{item}: {STOCK[item]} pieces", False) if item in STOCK else (f"there is no {item}", True)

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of the request; None where there is none for now.

        Raises:
            KeyError: there is no such method.
        """
        parameters = message.get("params") or {}
        if message["method"] == "tools/call":
            came = self.call(parameters["name"], str((parameters.get("arguments") or {}).get("item", "")))
            if came is None:
                return None
            return {"content": [{"type": "text", "text": came[0]}], "isError": came[1]}
        tools = [each if each["name"] in _WRITES else {**each, "annotations": _READS} for each in _TOOLS]
        information = {"name": "warehouse", "version": "1"}
        answers: dict[str, dict[str, Any]] = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": information,
            },
            "tools/list": {"tools": tools},
            "ping": {},
        }
        return answers[message["method"]]


def main() -> None:
    warehouse = Warehouse(Path(sys.argv[1]))
    lock = threading.Lock()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            result = warehouse.answer(message)
        except KeyError:
            answer["error"] = {"code": -32601, "message": f"there is no method {message['method']}"}
        else:
            if result is None:
                continue
            answer["result"] = result
        with lock:
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
