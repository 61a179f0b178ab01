"""A model that answers at once: an OpenAI-compatible upstream which costs as little as a Python process can.

It reads of a request what it must (where it ends, whether it asks for a stream) and writes bytes made
beforehand. `POST /set/CHUNKS/PACE_US` sets how many chunks an answer has and how many microseconds lie
between two of them (0: the whole answer in one write), for all answers from then on; one that is not streamed
takes as long.

Run: `python -m bench.upstream PORT`; SIGTERM ends it.
"""

import asyncio
import signal
import sys
from typing import Final, cast

import uvloop

CHUNKS: Final = 20
_WORD: Final = " word"


def answer(chunks: int) -> str:
    """Return the text of an answer of `chunks` chunks."""
    return (_WORD * chunks)[1:]


def _http(content_type: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        content_type,
        len(body),
        body,
    )


_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_MODELS: Final = _http(
    b"application/json",
    b'{"object":"list","data":[{"id":"bench","object":"model","created":1,"owned_by":"bench"}]}',
)
_DONE: Final = _http(b"application/json", b'{"status":"ok"}')


def _event(data: str) -> bytes:
    raw = b"data: " + data.encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(raw), raw)


def _chunk(choices: str, usage: str = "null") -> bytes:
    return _event(
        '{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","system_fingerprint":"fp_bench",'
        f'"choices":[{choices}],"usage":{usage}}}'
    )


class Answers:
    """The bytes of an answer of so many chunks: `whole` as JSON, `stream` as the writes of an SSE stream."""

    def __init__(self, chunks: int, pace_us: int) -> None:
        usage = f'{{"prompt_tokens":100,"completion_tokens":{chunks},"total_tokens":{100 + chunks}}}'
        self.pace_s = pace_us / 1e6
        self.takes_s = chunks * pace_us / 1e6
        self.whole = _http(
            b"application/json",
            (
                '{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","system_fingerprint":"fp_bench",'
                f'"choices":[{{"index":0,"message":{{"role":"assistant","content":"{answer(chunks)}","refusal":null}},'
                f'"logprobs":null,"finish_reason":"stop"}}],"usage":{usage}}}'
            ).encode(),
        )
        role = _chunk(
            '{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        )
        words = [_WORD[1:], *[_WORD] * (chunks - 1)]
        texts = [
            _chunk(f'{{"index":0,"delta":{{"content":"{word}"}},"logprobs":null,"finish_reason":null}}')
            for word in words
        ]
        stop = _chunk('{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}')
        end = stop + _chunk("", usage) + _event("[DONE]") + b"0\r\n\r\n"
        writes = [_STREAM_HEAD + role + texts[0], *texts[1:], end]
        self.stream = writes if pace_us else [b"".join(writes)]


class Upstream(asyncio.Protocol):
    """One connection. `answers` is shared by all of them."""

    answers = Answers(CHUNKS, 0)

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(b"\r\ncontent-length:")
        body_bytes = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head_end + 4 + body_bytes:
            return
        streams = (
            self._buffer.find(b'"stream":true', head_end) >= 0
            or self._buffer.find(b'"stream": true', head_end) >= 0
        )
        self._buffer.clear()
        self._answer(head, streams)

    def _answer(self, head: bytearray, streams: bool) -> None:
        if head.startswith(b"post /set/"):
            _, _, chunks, pace_us = head.split(b" ", 2)[1].split(b"/")
            Upstream.answers = Answers(int(chunks), int(pace_us))
            self._transport.write(_DONE)
        elif head.startswith(b"get "):
            self._transport.write(_MODELS)
        elif streams:
            self._write(self.answers, 0)
        elif self.answers.takes_s:
            self._loop.call_later(self.answers.takes_s, self._transport.write, self.answers.whole)
        else:
            self._transport.write(self.answers.whole)

    def _write(self, answers: Answers, index: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(answers.stream[index])
        if index + 1 < len(answers.stream):
            self._loop.call_later(answers.pace_s, self._write, answers, index + 1)


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
