"""Attacks by what is large, or costs much for its size, where it is stored or fetched."""

import json
from typing import Final

from bench.hostile.attacker import CHAT, Attacker, head, open_many

_DOWNLOADS: Final = 240
_FILE_BYTES: Final = 19_000_000
_WORDS: Final = 30_000
_PICTURE_CHARS: Final = 17_000_000


def unread_downloads(attacker: Attacker) -> None:
    """Downloads of a large file that nobody reads."""
    form = (
        b'--x\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        b"%b\r\n--x--\r\n" % (b"word " * (_FILE_BYTES // 5))
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    status, answer = attacker.ask("POST", "/v1/files", form, "downloads", **kind)
    if status != 200:
        raise SystemExit(f"the file was not taken: {status} {answer[:200]!r}")
    path = f"/v1/files/{json.loads(answer)['id']}/content"
    open_many(attacker, lambda _: head("GET", path, "x-session-key: downloads"), _DOWNLOADS)


def many_words(attacker: Attacker) -> None:
    """Messages of many different words, of ligatures that stand for many letters, and of Arabic."""
    texts = (
        " ".join(f"{number:x}q" for number in range(_WORDS)),
        "\ufdfa " * _WORDS,
        " ".join("".join(chr(0x627 + int(digit)) for digit in str(number)) for number in range(_WORDS)),
    )

    def attack(thread: int) -> None:
        first = '{"format":"nanobot.session","version":2}\n'
        body = (first + json.dumps({"role": "user", "content": texts[thread]})).encode()
        for number in attacker.rounds():
            attacker.send("POST", f"/v1/sessions/words:{thread}:{number}/import", body, "x")

    attacker.in_threads(len(texts), attack)


def large_pictures(attacker: Attacker) -> None:
    """Three messages at once with a picture as large as it may be."""
    url = "data:image/png;base64,iVBORw0KGgoA" + "A" * (_PICTURE_CHARS // 4 * 4)
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = json.dumps({"model": "nanobot", "messages": [{"role": "user", "content": content}]}).encode()

    def attack(thread: int) -> None:
        for number in attacker.rounds():
            attacker.send("POST", CHAT, body, f"pictures:{thread}:{number}")

    attacker.in_threads(3, attack)
