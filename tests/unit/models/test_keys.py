"""Several keys of a provider, and keys that a command prints."""

import asyncio
import sys
from pathlib import Path

import pytest

from nanobot.core.errors import ConfigError, ModelOverloaded, ModelRateLimited, ModelRefusedKey
from nanobot.models.keys import KeyCommand, KeyRotation
from nanobot.testing import FakeClock


async def test_the_first_key_is_used_as_long_as_it_works() -> None:
    keys = KeyRotation(("one", "two"), FakeClock())
    assert [await keys.key(), await keys.key()] == ["one", "one"]
    assert not keys.moves_on("one", ModelOverloaded("busy"))
    assert await keys.key() == "one"


async def test_a_refused_key_rests_for_ten_minutes_and_the_next_one_serves() -> None:
    clock = FakeClock()
    keys = KeyRotation(("one", "two"), clock)
    assert keys.moves_on("one", ModelRefusedKey("no"))
    assert await keys.key() == "two"
    clock.advance(601)
    assert await keys.key() == "one"


async def test_a_rate_limited_key_rests_for_as_long_as_the_provider_says() -> None:
    clock = FakeClock()
    keys = KeyRotation(("one", "two"), clock)
    assert keys.moves_on("one", ModelRateLimited("slow", retry_after_s=5))
    clock.advance(4)
    assert await keys.key() == "two"
    clock.advance(2)
    assert await keys.key() == "one"


async def test_where_all_keys_rest_none_is_worth_a_try_at_once_and_the_one_that_rests_least_is_next() -> None:
    keys = KeyRotation(("one", "two"), FakeClock())
    assert keys.moves_on("one", ModelRateLimited("slow", retry_after_s=50))
    assert not keys.moves_on("two", ModelRateLimited("slow", retry_after_s=5))
    assert await keys.key() == "two"


def counting(folder: Path) -> str:
    """Return a command that prints another key each time: key-1, key-2, …"""
    script = folder / "key.py"
    script.write_text(
        "import pathlib, sys\n"
        f"runs = pathlib.Path({str(folder / 'runs')!r})\n"
        "count = len(runs.read_text()) + 1 if runs.exists() else 1\n"
        "runs.write_text('x' * count)\n"
        "print(f'key-{count}')\n"
    )
    return f"{sys.executable} {script}"


async def test_a_command_is_run_once_for_all_who_need_its_key(tmp_path: Path) -> None:
    keys = KeyCommand(counting(tmp_path), FakeClock())
    assert set(await asyncio.gather(keys.key(), keys.key(), keys.key())) == {"key-1"}
    assert tuple(keys.secrets) == ("key-1",)


async def test_a_key_is_fetched_again_after_half_an_hour_and_when_it_is_refused(tmp_path: Path) -> None:
    clock = FakeClock()
    keys = KeyCommand(counting(tmp_path), clock)
    assert await keys.key() == "key-1"
    clock.advance(1_801)
    assert await keys.key() == "key-2"
    clock.advance(60)
    assert keys.moves_on("key-2", ModelRefusedKey("expired"))
    assert await keys.key() == "key-3"


async def test_a_key_that_is_refused_as_soon_as_it_was_fetched_is_not_fetched_for_ever(
    tmp_path: Path,
) -> None:
    keys = KeyCommand(counting(tmp_path), FakeClock())
    assert not keys.moves_on(await keys.key(), ModelRefusedKey("no"))


async def test_a_refusal_of_an_older_key_does_not_cost_the_new_one(tmp_path: Path) -> None:
    clock = FakeClock()
    keys = KeyCommand(counting(tmp_path), clock)
    old = await keys.key()
    clock.advance(60)
    assert keys.moves_on(old, ModelRefusedKey("expired"))
    new = await keys.key()
    assert keys.moves_on(old, ModelRefusedKey("expired"))
    assert await keys.key() == new


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("pass", "is no key"),
        ("print('a\\nb')", "is no key"),
        ("print('a' * 20000)", "is no key"),
    ],
)
async def test_a_command_that_fails_is_told_without_what_it_printed(code: str, reason: str) -> None:
    with pytest.raises(ModelRefusedKey, match=reason) as caught:
        await KeyCommand(f'{sys.executable} -c "{code}"', FakeClock()).key()
    assert "aaa" not in caught.value.message


async def test_a_command_that_is_not_there_is_told() -> None:
    with pytest.raises(ModelRefusedKey, match="no-such-program cannot be run"):
        await KeyCommand("no-such-program --print", FakeClock()).key()
    with pytest.raises(ModelRefusedKey, match="a null character"):
        await KeyCommand("no-such\0program", FakeClock()).key()


@pytest.mark.parametrize("command", ["", "  ", "print 'it"])
def test_a_command_that_cannot_be_read_is_refused(command: str) -> None:
    with pytest.raises(ConfigError, match="key_command"):
        KeyCommand(command, FakeClock())
