"""What a message may hold besides text: images, files, recordings; sent along, uploaded before, or pointed
at.
"""

import base64
import ipaddress
from collections.abc import Sequence
from typing import Any

import pytest

from nanobot.core.message import Audio, File, Image, Message, Text
from nanobot.core.model import Ability
from nanobot.models.echo import EchoModel
from nanobot.reading.fetch import FetchBounds, Fetcher
from nanobot.testing import ScriptedModel
from tests import files
from tests.asgi import Exchange
from tests.forms import ANN, form, send_form, upload
from tests.harness import Harness, OpenHarness
from tests.upstream import Reply, Upstream, by_path


def asked(harness: Harness) -> tuple[Message, ...]:
    model = harness.app.models.default
    assert isinstance(model, ScriptedModel)
    return model.requests[-1].messages


def requests(harness: Harness) -> int:
    model = harness.app.models.default
    assert isinstance(model, ScriptedModel)
    return len(model.requests)


def texts(harness: Harness) -> list[tuple[str, str]]:
    """Return the names and texts of the files in the newest message."""
    return [(part.name, part.text) for part in asked(harness)[-1].parts if isinstance(part, File)]


def saying(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def file_part(content: bytes, name: str | None = "a.txt", mime: str | None = None) -> dict[str, Any]:
    given = encoded(content) if mime is None else f"data:{mime};base64,{encoded(content)}"
    return {"type": "file", "file": {"file_data": given, **({} if name is None else {"filename": name})}}


def image_part(url: str, **fields: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


WORDS = {"type": "text", "text": "what is it?"}

# Files that come along ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (files.pdf("Invoice 4711"), "a.pdf", "Invoice 4711"),
        (files.word("Dear Ann"), "a.docx", "Dear Ann"),
        (files.sheet([["tea", 2.5]]), "a.xlsx", "| 1 | tea | 2.5 |"),
        (files.slides("Plan", "Step one"), "a.pptx", "Step one"),
        (b"a,b\n1,2", "a.csv", "1,2"),
        (b"<html><body><p>Soup</p></body></html>", "a.html", "Soup"),
        (b"print('hi')", "a.py", "print('hi')"),
    ],
)
async def test_a_file_is_read_to_the_model_under_its_name(
    harness: Harness, content: bytes, name: str, words: str
) -> None:
    reply = await harness.door.chat(ANN, saying(WORDS, file_part(content, name)))
    assert reply.status == 200, reply.text
    text, file = asked(harness)[-1].parts
    assert text == Text("what is it?")
    assert isinstance(file, File) and file.name == name and words in file.text


async def test_a_file_may_come_as_a_data_url_or_as_bare_base64_and_without_a_name(harness: Harness) -> None:
    await harness.door.chat(
        ANN, saying(WORDS, file_part(b"one", "x.txt", "text/plain;charset=utf-8"), file_part(b"two", None))
    )
    assert asked(harness)[-1].parts[1:] == (File("x.txt", "one"), File("file", "two"))


async def test_the_model_is_told_where_a_file_goes_on(open_harness: OpenHarness) -> None:
    harness = await open_harness(files={"max_characters": 1_000})
    await harness.door.chat(ANN, saying(file_part(b"x" * 5_000)))
    (file,) = asked(harness)[-1].parts
    assert isinstance(file, File)
    assert file.text == "x" * 1_000
    assert "goes on at line 1 of 1, character 1,001: call read_file" in file.note


async def test_a_file_stays_in_the_transcript_and_is_shown_again_in_the_next_turn(harness: Harness) -> None:
    await harness.door.chat(ANN, saying(WORDS, file_part(b"the code is kumquat")))
    await harness.door.chat(ANN, "and now?")
    assert asked(harness)[0].parts == (Text("what is it?"), File("a.txt", "the code is kumquat"))


async def test_an_image_or_a_recording_that_comes_as_a_file_is_passed_on_as_such(harness: Harness) -> None:
    await harness.door.chat(ANN, saying(file_part(files.PNG, "cat.png"), file_part(files.WAV, "hello.wav")))
    assert asked(harness)[-1].parts == (
        Image(f"data:image/png;base64,{encoded(files.PNG)}"),
        Audio(encoded(files.WAV), "wav"),
    )


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (files.pdf(password="secret"), "a.pdf", "encrypted_file"),
        (files.pdf()[:100], "a.pdf", "unreadable_file"),
        (
            files.replaced(files.word("x"), "word/document.xml", b" " * 30_000_000),
            "bomb.docx",
            "unreadable_file",
        ),
        (files.archive({"a": b"b"}), "a.zip", "unsupported_file"),
        (b"\x7fELF\0\0\0", "tool", "unsupported_file"),
    ],
)
async def test_a_file_that_cannot_be_read_is_a_400_and_no_turn(
    harness: Harness, content: bytes, name: str, code: str
) -> None:
    reply = await harness.door.chat(ANN, saying(WORDS, file_part(content, name)))
    assert (reply.status, reply.error["code"], reply.error["type"]) == (400, code, "invalid_request_error")
    assert reply.error["param"] == "messages[0].content[1].file"
    assert name in reply.error["message"]
    assert requests(harness) == 0
    assert await harness.app.store.sessions(limit=10) == ()


@pytest.mark.parametrize(
    ("part", "param", "word"),
    [
        ({"type": "file"}, "messages[0].content[0].file", "missing"),
        ({"type": "file", "file": {}}, "messages[0].content[0].file", "file_data"),
        (
            {"type": "file", "file": {"file_data": "aGk=", "file_id": "file-1"}},
            "messages[0].content[0].file",
            "one of them",
        ),
        (
            {"type": "file", "file": {"file_data": "not base64!"}},
            "messages[0].content[0].file.file_data",
            "base64",
        ),
        ({"type": "file", "file": {"file_data": 3}}, "messages[0].content[0].file.file_data", "3"),
        ({"type": "input_audio"}, "messages[0].content[0].input_audio", "missing"),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "ogg"}},
            "messages[0].content[0].input_audio.format",
            "wav",
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
            "messages[0].content[0].input_audio.data",
            "empty",
        ),
        ({"type": "video_url", "video_url": {"url": "x"}}, "messages[0].content[0].type", "video_url"),
        (image_part("ftp://web.example/a.png"), "messages[0].content[0].image_url.url", "http"),
        (image_part("data:text/plain;base64,aGk="), "messages[0].content[0].image_url.url", "data:image"),
        (
            image_part("data:image/png;base64,iVBORw0KGgo=", detail="huge"),
            "messages[0].content[0].image_url.detail",
            "low",
        ),
    ],
)
async def test_a_part_that_is_not_as_it_should_be_is_named_and_never_dropped(
    harness: Harness, part: dict[str, Any], param: str, word: str
) -> None:
    reply = await harness.door.chat(ANN, saying(part))
    assert (reply.status, reply.error["param"]) == (400, param)
    assert word in reply.error["message"]
    assert requests(harness) == 0


async def test_a_request_has_a_bounded_number_of_files(harness: Harness) -> None:
    reply = await harness.door.chat(ANN, saying(*(file_part(b"x") for _ in range(33))))
    assert reply.status == 400
    assert "at most 32" in reply.error["message"]


# Recordings ---------------------------------------------------------------------------------------

RECORDING = {"type": "input_audio", "input_audio": {"data": encoded(files.WAV), "format": "wav"}}


async def test_a_recording_is_passed_on_to_a_model_that_listens(harness: Harness) -> None:
    assert (await harness.door.chat(ANN, saying(WORDS, RECORDING))).status == 200
    assert asked(harness)[-1].parts == (Text("what is it?"), Audio(encoded(files.WAV), "wav"))


async def test_a_recording_for_a_model_that_does_not_listen_is_a_400(open_harness: OpenHarness) -> None:
    deaf: frozenset[Ability] = frozenset({"images"})
    harness = await open_harness(ScriptedModel(abilities=deaf), presets={"listener": ScriptedModel()})
    for parts in (saying(RECORDING), saying(file_part(files.WAV, "a.wav"))):
        reply = await harness.door.chat(ANN, parts)
        assert reply.status == 400
        assert "`nanobot` takes no audio" in reply.error["message"]
    assert requests(harness) == 0
    assert (await harness.door.chat(ANN, saying(RECORDING), model="listener")).status == 200


# Images of the web --------------------------------------------------------------------------------


def web(upstream: Upstream) -> Fetcher:
    """A fetcher whose whole web is the server of the test."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"] if host == "inner.example" else ["127.0.0.1"]

    port = int(upstream.url.rpartition(":")[2].partition("/")[0])
    here = ipaddress.ip_address("127.0.0.1")
    return Fetcher(
        FetchBounds(ports=frozenset({port, 80})), resolve=resolve, permit=lambda address: address == here
    )


def url(upstream: Upstream, path: str = "/cat.png") -> str:
    return upstream.url.replace("127.0.0.1", "web.example").removesuffix("/v1") + path


def picture(content: bytes = files.PNG, kind: str = "image/png") -> Reply:
    return Reply((content,), headers={"Content-Type": kind}, framing="length")


async def test_an_image_behind_a_url_is_fetched_before_the_turn_and_kept_as_it_was(
    open_harness: OpenHarness,
) -> None:
    async with Upstream() as upstream:
        upstream.then(picture())
        harness = await open_harness(fetcher=web(upstream))
        assert (
            await harness.door.chat(ANN, saying(WORDS, image_part(url(upstream), detail="low")))
        ).status == 200
        image = Image(f"data:image/png;base64,{encoded(files.PNG)}", "low")
        assert asked(harness)[-1].parts[1] == image
        await harness.door.chat(ANN, "and now?")
        assert asked(harness)[0].parts[1] == image
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply((b"no",), 404, framing="length"), "url_unreadable"),
        (picture(b"<html>", "image/png"), "unsupported_file"),
        (picture(b"<svg/>", "image/svg+xml"), "unsupported_file"),
        (Reply((b"",), 302, headers={"Location": "http://inner.example/"}, framing="length"), "url_refused"),
    ],
)
async def test_what_is_no_image_of_the_web_is_a_400_that_names_the_part(
    open_harness: OpenHarness, reply: Reply, code: str
) -> None:
    async with Upstream(lambda _: reply) as upstream:
        harness = await open_harness(fetcher=web(upstream))
        answer = await harness.door.chat(ANN, saying(image_part(url(upstream))))
        assert (answer.status, answer.error["code"]) == (400, code)
        assert answer.error["param"] == "messages[0].content[0].image_url.url"
        assert requests(harness) == 0


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:8900/",
    ],
)
async def test_no_url_leads_into_the_network_of_the_server(harness: Harness, where: str) -> None:
    """With the fetcher that the settings describe: nothing in them opens it."""
    reply = await harness.door.chat(ANN, saying(image_part(where)))
    assert (reply.status, reply.error["code"]) == (400, "url_refused")


async def test_a_file_behind_a_url_is_fetched_and_read_under_its_own_name(open_harness: OpenHarness) -> None:
    # Both are fetched at once.
    paper, size = "/papers/on%20fruit.pdf?key=1", "/x"
    replies = {
        paper: picture(files.pdf("kumquat"), "application/pdf"),
        size: picture("Größe".encode("latin-1"), "text/plain; charset=iso-8859-1"),
    }
    async with Upstream(by_path(replies)) as upstream:
        harness = await open_harness(fetcher=web(upstream))
        part = {"type": "file", "file": {"file_data": url(upstream, paper)}}
        named = {"type": "file", "file": {"file_data": url(upstream, size), "filename": "size.txt"}}
        assert (await harness.door.chat(ANN, saying(part, named))).status == 200
        assert set(texts(harness)) == {("on fruit.pdf", "[page 1]\nkumquat"), ("size.txt", "Größe")}
        inner = {"type": "file", "file": {"file_data": "http://inner.example/a.pdf"}}
        refused = await harness.door.chat(ANN, saying(inner))
        assert (refused.error["code"], refused.error["param"]) == (
            "url_refused",
            "messages[0].content[0].file.file_data",
        )


async def test_fetching_can_be_switched_off(open_harness: OpenHarness) -> None:
    async with Upstream() as upstream:
        harness = await open_harness(fetcher=web(upstream), files={"fetch": False})
        reply = await harness.door.chat(ANN, saying(image_part(url(upstream))))
        assert (reply.status, reply.error["code"]) == (400, "url_refused")
        assert "files.fetch" in reply.error["message"]
        assert upstream.requests == []


# History that clients send along ------------------------------------------------------------------


async def test_files_and_images_of_a_known_history_are_not_looked_at_again(open_harness: OpenHarness) -> None:
    """A front end resends the whole conversation each time; the image may be gone by then."""
    async with Upstream() as upstream:
        upstream.then(picture())
        harness = await open_harness(fetcher=web(upstream))
        first = saying(WORDS, image_part(url(upstream)), file_part(b"the code is kumquat"))
        said = (await harness.door.chat(ANN, first)).said
        reply = await harness.door.chat(
            ANN, [*first, {"role": "assistant", "content": said}, {"role": "user", "content": "and now?"}]
        )
        assert reply.status == 200
        assert "x-history" not in reply.headers
        assert len(upstream.requests) == 1
        assert [message.text for message in asked(harness)] == ["what is it?", "ok", "and now?"]
        assert File("a.txt", "the code is kumquat") in asked(harness)[0].parts


async def test_a_history_that_is_imported_brings_its_files_along(open_harness: OpenHarness) -> None:
    async with Upstream(lambda _: Reply((b"",), 404, framing="length")) as upstream:
        harness = await open_harness(fetcher=web(upstream))
        earlier = saying(
            WORDS,
            image_part(url(upstream)),
            file_part(b"the code is kumquat"),
            file_part(b"%PDF-broken", "b.pdf"),
        )
        reply = await harness.door.chat(
            ANN, [*earlier, {"role": "assistant", "content": "sure"}, {"role": "user", "content": "and now?"}]
        )
        assert reply.status == 200, "what can no longer be had does not end the conversation"
        text, image, file, broken = asked(harness)[0].parts
        assert (text, file) == (Text("what is it?"), File("a.txt", "the code is kumquat"))
        assert isinstance(image, Text) and "image stood here" in image.text
        assert isinstance(broken, Text) and "'b.pdf'" in broken.text


async def test_a_request_that_is_sent_again_is_known_though_what_it_points_at_is_gone(
    open_harness: OpenHarness,
) -> None:
    async with Upstream(lambda _: Reply((b"",), 404, framing="length")) as upstream:
        upstream.then(picture())
        harness = await open_harness(fetcher=web(upstream))
        file_id = await upload(harness.door, b"kumquat")
        parts = saying(image_part(url(upstream)), {"type": "file", "file": {"file_id": file_id}})
        first = await harness.door.chat(ANN, parts, {"idempotency-key": "k1"})
        await harness.door.call("DELETE", f"/v1/files/{file_id}", headers={"x-session-key": ANN})
        again = await harness.door.chat(ANN, parts, {"idempotency-key": "k1"})
        assert (again.status, again.turn_id) == (200, first.turn_id)
        assert requests(harness) == 1
        assert (await harness.door.chat(ANN, parts)).status in (400, 404), "asked anew, it is looked for"


# Uploads in messages ------------------------------------------------------------------------------


async def test_an_upload_is_read_to_the_model_by_its_id(harness: Harness) -> None:
    file_id = await upload(harness.door, files.pdf("kumquat"), "secret.pdf")
    assert (
        await harness.door.chat(ANN, saying({"type": "file", "file": {"file_id": file_id}}))
    ).status == 200
    (file,) = asked(harness)[-1].parts
    assert isinstance(file, File)
    assert (file.name, file.text, file.file_id) == ("secret.pdf", "[page 1]\nkumquat", file_id)


async def test_an_upload_of_another_session_is_not_there(harness: Harness) -> None:
    """Canary: what belongs to a key never reaches the model, or an answer, of another."""
    file_id = await upload(harness.door, b"canary-4711", "canary.txt")
    part = {"type": "file", "file": {"file_id": file_id}}
    foreign = await harness.door.chat("wx:dm:bob", saying(part))
    missing = await harness.door.chat(
        "wx:dm:bob", saying({"type": "file", "file": {"file_id": "file-00000000000000000000000000"}})
    )
    assert (foreign.status, foreign.error["code"]) == (404, "file_not_found")
    assert foreign.text.replace(file_id, "ID") == missing.text.replace(
        "file-00000000000000000000000000", "ID"
    )
    history = [
        *saying(part),
        {"role": "assistant", "content": "sure"},
        {"role": "user", "content": "what did it say?"},
    ]
    assert (await harness.door.chat("wx:dm:eve", history)).status == 200
    assert "canary" not in repr(asked(harness))


# Forms --------------------------------------------------------------------------------------------


async def chat_form(
    harness: Harness, *parts: tuple[str, str | tuple[str, bytes]], boundary: str = "xyz", **headers: str
) -> Exchange:
    return await send_form(
        harness.door, "/v1/chat/completions", form(*parts, boundary=boundary), boundary=boundary, **headers
    )


async def test_a_form_asks_with_files(harness: Harness) -> None:
    reply = await chat_form(
        harness,
        ("message", "what is it? ☕"),
        ("files", ("a.pdf", files.pdf("kumquat"))),
        ("files", ("größe.png", files.PNG)),
    )
    assert reply.status == 200, reply.text
    assert reply.json["model"] == "nanobot" and reply.said == "ok"
    text, _, image = asked(harness)[-1].parts
    assert text == Text("what is it? ☕")
    assert texts(harness) == [("a.pdf", "[page 1]\nkumquat")]
    assert image == Image(f"data:image/png;base64,{encoded(files.PNG)}")


async def test_a_form_may_ask_for_a_stream_and_another_model(open_harness: OpenHarness) -> None:
    harness = await open_harness(presets={"fast": ScriptedModel("quick")})
    reply = await chat_form(harness, ("message", "hello"), ("model", "fast"), ("stream", "true"))
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.said == "quick"


async def test_a_form_of_files_alone_asks_too(harness: Harness) -> None:
    assert (await chat_form(harness, ("files", ("größe.txt", b"hello")))).status == 200
    assert asked(harness)[-1].parts == (File("größe.txt", "hello"),)


async def test_a_form_that_is_sent_again_is_known_whatever_its_boundaries(harness: Harness) -> None:
    parts: tuple[tuple[str, str | tuple[str, bytes]], ...] = (
        ("message", "hello"),
        ("files", ("a.txt", b"one")),
    )
    first = await chat_form(harness, *parts, idempotency_key="k")
    again = await chat_form(harness, *parts, boundary="abc", idempotency_key="k")
    assert again.turn_id == first.turn_id
    other = await chat_form(harness, ("message", "hello"), ("files", ("a.txt", b"two")), idempotency_key="k")
    assert other.status == 422


async def test_files_that_come_as_text_are_not_passed_over(harness: Harness) -> None:
    reply = await chat_form(harness, ("message", "hi"), ("files", "what is in it"))
    assert (reply.status, reply.error["param"]) == (400, "files")


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ((("model", "nanobot"),), "message"),
        ((("message", "hi"), ("stream", "maybe")), "stream"),
        ((("message", "hi"), ("attachment", ("a.txt", b"x"))), "attachment"),
        ((("message", "hi"), ("model", "gpt-9")), "model"),
        ((("message", "hi"), ("files", ("a.pdf", b"%PDF-broken"))), "files[0]"),
    ],
)
async def test_a_form_that_is_not_as_it_should_be_is_told_so(
    harness: Harness, parts: Any, param: str
) -> None:
    reply = await chat_form(harness, *parts)
    assert (reply.status, reply.error["param"]) == (404 if param == "model" else 400, param)
    assert requests(harness) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--xyz", b"hello", b"--abc\r\n\r\n--abc--\r\n", form(("message", "hi"))[:-4],
        b"--xyz\r\nnothing\r\n\r\nx\r\n--xyz--\r\n",
        b"--xyz\r\nContent-Disposition: attachment\r\n\r\nx\r\n--xyz--\r\n",
        form(*(("a", "b") for _ in range(65))),
        b'--xyz\r\nContent-Disposition: form-data; name="message"\r\n'
        + b"x-h: y\r\n" * 50 + b"\r\nhi\r\n--xyz--\r\n",
    ],
)  # fmt: skip
async def test_a_broken_form_is_a_400(harness: Harness, body: bytes) -> None:
    reply = await send_form(harness.door, "/v1/chat/completions", body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_form")


@pytest.mark.parametrize(
    "kind",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 300],
)
async def test_a_form_without_a_good_boundary_is_a_400(harness: Harness, kind: str) -> None:
    reply = await harness.door.call(
        "POST",
        "/v1/chat/completions",
        body=form(("message", "hi")),
        headers={"content-type": kind, "x-session-key": ANN},
    )
    assert (reply.status, reply.error["code"]) == (400, "invalid_form")


async def test_a_form_over_the_bound_is_refused_while_it_comes(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"max_body_mb": 0.01})
    reply = await chat_form(harness, ("message", "hi"), ("files", ("a.txt", b"x" * 20_000)))
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


async def test_the_demo_model_says_what_is_in_a_file(open_harness: OpenHarness) -> None:
    harness = await open_harness(EchoModel())
    assert (
        "kumquat" in (await chat_form(harness, ("message", "hello"), ("files", ("a.txt", b"kumquat")))).said
    )
