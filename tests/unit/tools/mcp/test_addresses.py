"""A server leads to no address that it should not."""

import httpx2
import pytest

from nanobot.tools.mcp.addresses import ForbiddenAddress, check

FAR, HERE = httpx2.URL("http://tools.example.org:8000/mcp"), httpx2.URL("http://localhost:9000/mcp")


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (FAR, "http://tools.example.org:8000/.well-known/x"),
        (FAR, "https://login.example.net/token"),
        (FAR, "https://8.8.8.8/token"),
        (HERE, "http://127.0.0.1:9100/token"),
    ],
)
def test_its_own_place_and_public_ones_of_https_are_asked(own: httpx2.URL, wanted: str) -> None:
    check(own, httpx2.URL(wanted))


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        (FAR, "http://169.254.169.254/latest/meta-data"),
        (FAR, "https://169.254.169.254/latest/meta-data"),
        (FAR, "https://10.0.0.1/token"),
        (FAR, "https://[::1]/token"),
        (FAR, "https://[::ffff:169.254.169.254]/token"),
        (FAR, "https://localhost/token"),
        (FAR, "https://metadata.google.internal/"),
        (FAR, "https://2852039166/"),
        (FAR, "https://printer/"),
        (FAR, "http://login.example.net/token"),
        (FAR, "http://tools.example.org:22/"),
        (FAR, "https://me:secret@login.example.net/"),
        (HERE, "http://169.254.169.254/"),
        (HERE, "http://login.example.net/"),
    ],
)
def test_no_other_is(own: httpx2.URL, wanted: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check(own, httpx2.URL(wanted))
