"""The innocent: one asks `/health` all the time, one has a conversation.

Run: `python -m bench.hostile.innocent PORT SECONDS PRESET [file]`; writes `Seen` as JSON. With `file` each
turn brings a small document.
"""

import http.client
import json
import sys
import threading
import time

import msgspec

from bench.hostile.crowds import with_small_file

_PAUSE_S = 0.02
_TIMEOUT_S = 60.0


class Seen(msgspec.Struct):
    """What they saw. `stalls_ms`: how long each `/health` took; `turns_ms`: each turn; `errors`: what was no
    answer.
    """

    stalls_ms: list[float] = []
    turns_ms: list[float] = []
    errors: list[str] = []


class _Request(msgspec.Struct):
    method: str
    path: str
    body: bytes | None = None
    kind: str = "application/json"


def _repeat(port: int, until: float, took: list[float], errors: list[str], request: _Request) -> None:
    path = request.path
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    headers = {"content-type": request.kind, "x-session-key": "innocent"}
    while (began := time.perf_counter()) < until:
        try:
            connection.request(request.method, path, request.body, headers)
            response = connection.getresponse()
            raw = response.read()
            if response.status != 200:
                errors.append(f"{path}: {response.status} {raw[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            errors.append(f"{path}: {error!r}")
            connection.close()
        took.append(1000 * (time.perf_counter() - began))
        time.sleep(_PAUSE_S)
    connection.close()


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    seen, until = Seen(), time.perf_counter() + seconds
    model = f"nanobot:{sys.argv[3]}"
    said = {"model": model, "messages": [{"role": "user", "content": "What is new?"}]}
    turn = _Request("POST", "/v1/chat/completions", json.dumps(said).encode())
    if sys.argv[4:] == ["file"]:
        turn.kind, turn.body = with_small_file(model)
    asked = ((seen.stalls_ms, _Request("GET", "/health")), (seen.turns_ms, turn))
    threads = [
        threading.Thread(target=_repeat, args=(port, until, took, seen.errors, request))
        for took, request in asked
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.buffer.write(msgspec.json.encode(seen))


if __name__ == "__main__":
    main()
