"""The prefix on the disk: read once, used at each start, and never with a word of a session in it."""

from pathlib import Path

import pytest

from nanobot.core.message import user
from nanobot.models.local.prefix import SavedPrefix, tokens_in
from tests.small_engine import state_file
from tests.unit.models.local.stand_in import machine

pytestmark = pytest.mark.asyncio


async def test_a_second_start_reads_it_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with machine(tmp_path, monkeypatch) as first:
        assert len(first.routes.read) == 1
    (file,) = (tmp_path / "prefixes").glob("*.slot")
    # Of the user's own weights, the state of the file names them.
    weights = (tmp_path / "stand-in.gguf").stat()
    monkeypatch.setattr("nanobot.models.local.model.identity_of", lambda name, path: f"{weights.st_size}")
    async with machine(tmp_path, monkeypatch) as second:
        assert len(second.routes.read) == 1
    async with machine(tmp_path, monkeypatch) as third:
        assert third.routes.read == []
        assert third.routes.actions == [("restore", 0)]
    assert tokens_in(file) is not None


async def test_it_holds_the_tokens_of_the_prefix_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine(tmp_path, monkeypatch) as small:
        await small.ask(user("My secret is a stamp."))
        shared = small.routes.read[0]
    for file in (tmp_path / "prefixes").iterdir():
        assert b"secret" not in file.read_bytes()
        if file.suffix == ".slot":
            assert tokens_in(file) == tuple(map(ord, shared))


class Engine:
    """Keeps what another request has read into the slot meanwhile."""

    def __init__(self, folder: Path, tokens: tuple[int, ...]) -> None:
        self.folder = folder
        self.tokens = tokens
        self.restored = 0

    async def read(self, tokens: tuple[int, ...], slot: int) -> None:
        """Pretend to."""

    async def save(self, slot: int, file: str) -> None:
        (self.folder / file).write_bytes(state_file(self.tokens))

    async def restore(self, slot: int, file: str) -> int:
        self.restored += 1
        return len(self.tokens)


async def test_what_another_request_has_added_is_not_kept(tmp_path: Path) -> None:
    engine = Engine(tmp_path, (1, 2, 3, 4, 5))
    saved = SavedPrefix(tmp_path, (1, 2, 3), ("x",))
    await saved.make(engine, 0)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    assert not await saved.load(engine, 0)  # type: ignore[arg-type]
    assert engine.restored == 0


@pytest.mark.parametrize("damage", [b"", b"qsgg", b"x" * 400])
async def test_a_damaged_file_is_not_used(tmp_path: Path, damage: bytes) -> None:
    engine = Engine(tmp_path, (1, 2, 3))
    await SavedPrefix(tmp_path, (1, 2, 3), ("x",)).make(engine, 0)  # type: ignore[arg-type]
    (file,) = tmp_path.glob("*.slot")
    file.write_bytes(damage)
    assert not await SavedPrefix(tmp_path, (1, 2, 3), ("x",)).load(engine, 0)  # type: ignore[arg-type]
    assert tokens_in(file) is None


async def test_it_belongs_to_its_weights_engine_and_prefix(tmp_path: Path) -> None:
    engine = Engine(tmp_path, (1, 2, 3))
    await SavedPrefix(tmp_path, (1, 2, 3), ("weights", "1.0")).make(engine, 0)  # type: ignore[arg-type]
    assert await SavedPrefix(tmp_path, (1, 2, 3), ("weights", "1.0")).load(engine, 0)  # type: ignore[arg-type]
    for tokens, parts in (((1, 2, 4), ("weights", "1.0")), ((1, 2, 3), ("weights", "1.1"))):
        assert not await SavedPrefix(tmp_path, tokens, parts).load(engine, 0)  # type: ignore[arg-type]


async def test_only_a_few_are_kept(tmp_path: Path) -> None:
    for number in range(7):
        engine = Engine(tmp_path, (1, number))
        await SavedPrefix(tmp_path, (1, number), ()).make(engine, 0)  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("*.slot"))) == len(list(tmp_path.glob("*.json"))) == 4
