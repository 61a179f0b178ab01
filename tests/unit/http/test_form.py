"""Forms are taken apart alike in whatever pieces they come; what is none is told so, and never costs more
than that.
"""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from nanobot.core.errors import InvalidRequest
from nanobot.http.form import Form, FormFile, read_form
from nanobot.http.request import Request
from tests.forms import form

BODY = form(
    ("message", "hellö\r\n--xy"),
    ("files", ("größe.bin", b"\r\n--xy\0\xff\r\n--")),
    ("message", ""),
    ("files", ("", b"")),
)
WHOLE = Form(
    {"message": ["hellö\r\n--xy", ""]},
    (
        FormFile("files", "größe.bin", "application/octet-stream", b"\r\n--xy\0\xff\r\n--"),
        FormFile("files", "", "application/octet-stream", b""),
    ),
)


async def taken(pieces: list[bytes], kind: bytes = b"multipart/form-data; boundary=xyz") -> Form:
    scope: Scope = {"method": "POST", "raw_path": b"/", "headers": [(b"content-type", kind)]}
    waiting = [*pieces, b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    return await read_form(Request(scope, receive), max_bytes=1_000_000, timeout_s=10)


@given(cuts=st.lists(st.integers(0, len(BODY)), max_size=12))
@example(cuts=list(range(len(BODY))))
async def test_a_form_is_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(BODY)]
    assert await taken([BODY[start:end] for start, end in itertools.pairwise(places)]) == WHOLE


@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    b"--xyz",
                    b"--xyz--",
                    b"\r\n",
                    b'Content-Disposition: form-data; name="a"',
                    b'; filename="b"',
                    b": ",
                    b"--",
                    b"\r",
                    b"\n",
                ]
            ),
        ),
        max_size=20,
    )
)
async def test_no_bytes_are_more_than_a_form_or_an_error_of_the_client(pieces: list[bytes]) -> None:
    try:
        await taken(pieces)
    except InvalidRequest as error:
        assert error.http_status == 400


@given(kind=st.binary(max_size=60).map(lambda text: b"multipart/form-data; boundary" + text))
async def test_no_content_type_is_more_than_a_boundary_or_an_error_of_the_client(kind: bytes) -> None:
    try:
        await taken([BODY], kind)
    except InvalidRequest as error:
        assert error.http_status == 400
