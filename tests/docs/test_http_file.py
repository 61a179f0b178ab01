"""The requests of docs/examples.http are sent, and answered."""

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.clients.serving import ROOT, rule_based_server

FILE = ROOT / "docs" / "examples.http"
BOUND_S = 60


class Request(msgspec.Struct, frozen=True):
    """A request of the file; `status` is what its title promises, 200 where it promises nothing."""

    title: str
    method: str
    url: str
    headers: dict[str, str]
    body: str
    status: int


def requests(host: str) -> list[Request]:
    source = FILE.read_text(encoding="utf-8")
    variables = dict(re.findall(r"^@(\w+) = (.*)$", source, re.MULTILINE)) | {"host": host}
    filled = re.sub(r"\{\{(\w+)\}\}", lambda found: variables[found[1]], source)
    return [_request(part) for part in re.split(r"^### *", filled, flags=re.MULTILINE)[1:]]


def _request(part: str) -> Request:
    title, _, rest = part.partition("\n")
    head, _, body = rest.partition("\n\n")
    first, *lines = head.strip().splitlines()
    method, _, url = first.partition(" ")
    promised = re.search(r": (\d{3})$", title)
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(title, method, url, headers, body.strip(), int(promised[1]) if promised else 200)


def titles() -> list[str]:
    return [request.title for request in requests("http://unused")]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rule_based_server(tmp_path_factory.mktemp("http-file")) as (address, _):
        yield address


@pytest.mark.parametrize("title", titles())
def test_a_request_of_the_http_file_is_answered(title: str, address: str) -> None:
    (request,) = [request for request in requests(address) if request.title == title]
    where = urlsplit(request.url)
    connection = http.client.HTTPConnection(where.netloc, timeout=BOUND_S)
    try:
        connection.request(request.method, where.path, request.body or None, request.headers)
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    assert answer.status == request.status, body
    if '"stream": true' in request.body:
        assert body.endswith("data: [DONE]\n\n")
    else:
        assert isinstance(msgspec.json.decode(body), dict)


def test_each_request_has_a_title_of_its_own() -> None:
    assert len(set(titles())) == len(titles()) > 0
