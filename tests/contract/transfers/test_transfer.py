"""What holds of every way to a provider."""

import asyncio
import gzip

import pytest

from nanobot.core.audience import EMPTY
from nanobot.models.transfer import TransferFailed
from tests.asgi import BOUND_S
from tests.contract.transfers.conftest import Way, whole
from tests.upstream import HANG, Gate, Reply, dropped, json_reply, raw, refused, silent

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


async def test_the_body_is_sent_and_the_answer_read(way: Way) -> None:
    way.upstream.then(json_reply({"a": 1}, headers={"X-Name": "Value"}))
    answer = await way.ask(b'{"q": 1}')
    assert (answer.status, answer.headers["x-name"]) == (200, "Value")
    assert await whole(answer) == b'{"a":1}'
    (asked,) = way.upstream.requests
    assert (asked.method, asked.body, asked.headers["user-agent"]) == ("POST", b'{"q": 1}', "test")


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_a_body_ends_where_its_framing_says(way: Way, framing: str) -> None:
    steps = (b"one,", b"two")
    way.upstream.then(
        Reply(steps, framing="chunked")
        if framing == "chunked"
        else Reply((b"HTTP/1.1 200 OK\r\n\r\n", *steps), framing="raw")
        if framing == "close"
        else Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", *steps, HANG), framing="raw")
    )
    assert await whole(await way.ask()) == b"one,two"


async def test_a_connection_serves_one_request_after_the_other(way: Way) -> None:
    for _ in range(3):
        await whole(await way.ask())
    assert {asked.connection for asked in way.upstream.requests} == {1}


async def test_requests_at_the_same_time_have_connections_of_their_own(way: Way) -> None:
    gates = [Gate(), Gate()]
    way.upstream.then(*(Reply((b"%d" % number, gate)) for number, gate in enumerate(gates)))
    answers = [await way.ask() for _ in gates]
    for gate in gates:
        gate.open()
    assert [await whole(answer) for answer in answers] == [b"0", b"1"]
    assert {asked.connection for asked in way.upstream.requests} == {1, 2}


async def test_a_connection_that_the_server_closes_is_not_used_again(way: Way) -> None:
    way.upstream.then(json_reply({}, headers={"Connection": "close"}))
    await whole(await way.ask())
    assert await whole(await way.ask())
    assert [asked.connection for asked in way.upstream.requests] == [1, 2]


async def test_an_answer_that_is_left_early_cuts_its_connection(way: Way) -> None:
    way.upstream.then(Reply((b"one", HANG)))
    answer = await way.ask()
    assert await answer.read() == b"one"
    answer.close()
    await way.upstream.deserted()


async def test_what_nobody_asked_for_answers_no_later_request(way: Way) -> None:
    way.upstream.then(raw(HEAD + b"ok" + HEAD + b"no", HANG))
    assert await whole(await way.ask()) == b"ok"
    assert await whole(await way.ask()) != b"no"


async def test_an_announcement_is_not_the_answer(way: Way) -> None:
    way.upstream.then(
        raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD, b"ok")
    )
    answer = await way.ask()
    assert (answer.status, await whole(answer)) == (200, b"ok")
    assert "link" not in answer.headers


async def test_a_compressed_answer_is_read_although_none_was_asked_for(way: Way) -> None:
    body = gzip.compress(b"hello " * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    way.upstream.then(raw(head, body[:30], body[30:]))
    assert await whole(await way.ask()) == b"hello " * 100


async def test_redirects_are_answers(way: Way) -> None:
    way.upstream.then(Reply(status=307, headers={"Location": "http://127.0.0.1:1/"}))
    answer = await way.ask()
    assert answer.status == 307
    await whole(answer)


async def test_a_large_request_arrives_whole(way: Way) -> None:
    body = bytes(range(256)) * 12_000
    way.upstream.then(json_reply({}))
    await whole(await way.ask(body))
    assert way.upstream.requests[0].body == body
    await whole(await way.ask())
    assert way.upstream.requests[1].connection == 1


async def test_much_that_nobody_reads_waits_at_the_server(way: Way) -> None:
    pieces = (b"x" * 65_536,) * 64
    way.upstream.then(Reply(pieces))
    answer = await way.ask()
    assert len(await whole(answer)) == 64 * 65_536


# Failures -----------------------------------------------------------------------------------------


async def test_a_server_that_closes_without_an_answer(way: Way) -> None:
    way.upstream.then(dropped())
    with pytest.raises(TransferFailed) as caught:
        await way.ask()
    assert caught.value.stage == "begin"


async def test_a_server_that_does_not_answer_in_time(way: Way) -> None:
    way.upstream.then(silent())
    with pytest.raises(TimeoutError):
        await way.ask(within_s=0.05)
    await way.upstream.deserted()


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"]
)
async def test_a_server_that_does_not_speak_http(way: Way, words: bytes) -> None:
    way.upstream.then(raw(words, HANG))
    with pytest.raises(TransferFailed) as caught:
        await way.ask()
    assert caught.value.stage == "understand"


@pytest.mark.parametrize("head", [b"Transfer-Encoding: chunked", b"Content-Length: 9"])
async def test_an_answer_that_breaks_off_says_what_came_first(way: Way, head: bytes) -> None:
    gate = Gate()
    piece = b"3\r\none\r\n" if b"chunked" in head else b"one"
    way.upstream.then(raw(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (head, piece), gate))
    answer = await way.ask()
    assert await answer.read() == b"one"
    gate.open()
    with pytest.raises(TransferFailed) as caught:
        await answer.read()
    assert caught.value.stage == "finish"
    answer.close()


async def test_a_running_read_fails_once_the_answer_is_closed(way: Way) -> None:
    way.upstream.then(Reply((b"one", HANG)))
    answer = await way.ask()
    await answer.read()
    reading = asyncio.ensure_future(answer.read())
    await asyncio.sleep(0)
    answer.close()
    with pytest.raises(TransferFailed):
        await asyncio.wait_for(reading, BOUND_S)


async def test_a_closed_pool_lets_nothing_hang(way: Way) -> None:
    way.upstream.then(silent())
    asking = asyncio.ensure_future(way.ask())
    await way.upstream.asked(1)
    await way.pool.close()
    with pytest.raises(TransferFailed):
        await asyncio.wait_for(asking, BOUND_S)


async def test_a_refusal_before_the_whole_request_was_read_is_an_answer(way: Way) -> None:
    await whole(await way.ask())
    way.upstream.then(refused(413, "too large"))
    answer = await way.ask(b"x" * 300_000)
    assert answer.status == 413
    await whole(answer)


async def test_an_answer_is_gathered_to_its_end(way: Way) -> None:
    way.upstream.then(Reply((b"one,", b"two")))
    answer = await way.ask()
    loop = asyncio.get_running_loop()
    body = b""
    while True:
        await answer.gather(loop.time() + 20, EMPTY)
        if not (piece := await answer.read()):
            break
        body += piece
    assert body == b"one,two"
