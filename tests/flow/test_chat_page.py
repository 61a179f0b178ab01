"""The chat page as it is served: what browsers get at /, what others get, and how it is cached."""

import base64
import gzip
import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

from nanobot.web.assets import STATIC, Asset, load_assets
from nanobot.web.routes import operations
from tests.asgi import Door
from tests.harness import OpenHarness

ROOT = Path(__file__).parents[2]
MOST_BYTES = 130_000
HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def named_files(page: str) -> list[str]:
    """Return the addresses in the page, relative to it."""
    (import_map,) = re.findall(r'<script type="importmap">(.*?)</script>', page)
    imported = [address.removeprefix("./") for address in json.loads(import_map)["imports"].values()]
    return [*re.findall(r'(?:href|src)="(web/[^"]+)"', page), *imported]


async def test_browsers_get_the_page_and_others_what_they_got_before(door: Door) -> None:
    page = await door.get("/", HTML)
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "accept" in page.headers["vary"]
    for accept in ("*/*", "application/json", "text/html;q=0, */*", "text/htmlx", "application/text/html"):
        reply = await door.get("/", {"accept": accept})
        assert (reply.status, reply.error["code"]) == (404, "not_found"), accept
        assert reply.error["message"].startswith("there is nothing at / but a page for browsers: ")
    assert (await door.get("/")).status == 404


async def test_every_file_that_the_page_names_is_there_with_its_type(door: Door) -> None:
    for address in named_files((await door.get("/", HTML)).text):
        reply = await door.get(f"/{address}")
        assert reply.status == 200, address
        kind = {"css": "text/css", "svg": "image/svg", "js": "text/javascript", "mjs": "text/javascript"}
        assert reply.headers["content-type"].startswith(kind[address.rpartition(".")[2]])
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_modules_import_what_the_page_or_their_folder_has(door: Door) -> None:
    page = (await door.get("/", HTML)).text
    mapped = set(json.loads(re.findall(r'importmap">(.*?)</script>', page)[0])["imports"])
    for module in STATIC.glob("*.js"):
        for name in re.findall(r'(?:from|import) "([^"]+)";', module.read_text("utf-8")):
            assert name in mapped or (module.parent / name).is_file(), f"{module.name} imports {name}"


async def test_addresses_are_relative_so_that_a_proxy_may_serve_it_below_a_path(door: Door) -> None:
    page = (await door.get("/", HTML)).text
    assert not re.findall(r"""(?:src|href)="(?:/|https?:)""", page)
    scripts = "".join(each.read_text("utf-8") for each in STATIC.glob("*.js"))
    assert not re.findall(r"""["'`]/(?:v1|web)""", scripts)


async def test_the_policy_lets_the_page_run_its_own_files_only(door: Door) -> None:
    page = await door.get("/", HTML)
    policy = dict(each.strip().split(" ", 1) for each in page.headers["content-security-policy"].split(";"))
    (import_map,) = re.findall(r'<script type="importmap">(.*?)</script>', page.text)
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert re.findall(r"<script(?![^>]* (?:src|type=\"importmap\"))", page.text) == []
    assert " style=" not in page.text


async def test_the_page_is_asked_for_again_and_its_files_are_kept(door: Door) -> None:
    page = await door.get("/", HTML)
    assert page.headers["cache-control"] == "no-cache"
    again = await door.get("/", {**HTML, "if-none-match": f'"other", W/{page.headers["etag"]}'})
    assert (again.status, again.raw) == (304, b"")
    assert again.headers["etag"] == page.headers["etag"]
    (style,) = re.findall(r'href="(web/[^"]+\.css)"', page.text)
    reply = await door.get(f"/{style}")
    assert "immutable" in reply.headers["cache-control"]
    assert (await door.get(f"/{style}", {"if-none-match": reply.headers["etag"]})).status == 304
    assert (await door.get(f"/{style}", {"if-none-match": '"other"'})).status == 200


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("xgzip", False),
        ("identity", False),
    ],
)
async def test_files_are_compressed_for_those_who_take_it(
    door: Door, accepted: str, is_compressed: bool
) -> None:
    plain = await door.get("/", HTML)
    reply = await door.get("/", {**HTML, "accept-encoding": accepted})
    assert reply.headers.get("content-encoding") == ("gzip" if is_compressed else None)
    assert (gzip.decompress(reply.raw) if is_compressed else reply.raw) == plain.raw
    assert (reply.headers["etag"] != plain.headers["etag"]) == is_compressed
    assert int(reply.headers["content-length"]) == len(reply.raw)


@pytest.mark.parametrize(
    "path",
    [
        "/web/{version}/page.html",
        "/web/{version}/none.js",
        "/web/{version}/../server.py",
        "/web/{version}/..%2f..%2froutes.py",
        "/web/{version}/vendor/",
        "/web/0123456789abcdef/page.js",
        "/web/{version}",
        "/web/",
    ],
)
async def test_nothing_but_the_files_of_this_version_is_served(door: Door, path: str) -> None:
    reply = await door.get(path.format(version=load_assets().version))
    assert (reply.status, reply.error["code"]) == (404, "not_found")


async def test_the_page_needs_no_key_and_opens_nothing_else(open_harness: OpenHarness) -> None:
    harness = await open_harness(api={"key": "secret-key-of-this-test"})
    page = await harness.door.get("/", HTML)
    assert page.status == 200
    assert "secret-key-of-this-test" not in page.text
    for address in named_files(page.text):
        assert (await harness.door.get(f"/{address}")).status == 200
    for path in ("/web", "/webx/", "/v1/models", "//v1/models", "/v1/web/x/page.js"):
        assert (await harness.door.get(path)).status == 401, path
    assert (await harness.door.get("/web/../v1/models")).status == 404


def test_the_routes_of_the_page_need_no_right() -> None:
    assert [operation.right for operation in operations()] == [None, None]


def test_all_of_the_page_is_small() -> None:
    assets = load_assets()

    def size(asset: Asset) -> int:
        return len(asset.compressed)

    code = {name: asset for name, asset in assets.files.items() if not name.endswith(".txt")}
    assert size(assets.page) + sum(map(size, code.values())) <= MOST_BYTES


def test_comments_of_our_own_code_are_not_sent_and_its_lines_keep_their_numbers() -> None:
    files = load_assets().files
    own = list(STATIC.glob("*.js"))
    assert own
    for path in own:
        written, sent = path.read_text().splitlines(), files[path.name].body.decode().splitlines()
        expected = ["" if line.lstrip().startswith("//") else line for line in written]
        assert sent == expected


def test_what_others_wrote_is_what_was_pinned_and_has_its_licence() -> None:
    packages = tomllib.loads((ROOT / "scripts" / "vendor.toml").read_text("utf-8"))["package"]
    pinned = {file["as"]: file["sha256"] for package in packages for file in package["files"].values()}
    vendor = STATIC / "vendor"
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.suffix != ".txt"
    }
    assert there == pinned
    licences = (vendor / "LICENSES.txt").read_text("utf-8")
    for package in packages:
        assert f"{package['name']} {package['version']} ({package['license']})" in licences
