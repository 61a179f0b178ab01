"""The audit of people and groups finds no leak in this server, and finds the leaks of others."""

import msgspec
import pytest

from nanobot.config import Config
from nanobot.config.tables import MemoryTable
from nanobot.core.scopes import LayerReach, Scopes
from nanobot.core.sessions import ALL
from nanobot.isolation.layer_audit import LayerOptions
from nanobot.isolation.layers import layer_lines, run_layer_audit
from nanobot.stores.sql import people

FEW = LayerOptions(people=9, groups=2, parallel=4, seed=5)
Patch = pytest.MonkeyPatch


async def leaks(where: str) -> list[str]:
    report = await run_layer_audit(Config(), FEW)
    assert not report.is_clean
    return [leak.where for leak in report.leaks if where in leak.where]


async def test_what_is_told_reaches_the_turns_of_its_layer_and_no_others() -> None:
    report = await run_layer_audit(Config(), FEW)
    assert list(report.leaks) == []
    assert report.is_clean
    assert (report.links, report.erased) == (3, 1)
    assert report.told > 40 and not report.unseen
    assert report.recalled > 20
    assert report.requests > 9 * 20
    assert "0 leaks, seed 5" in "\n".join(layer_lines(report))


async def test_where_nothing_comes_back_at_all_the_run_proves_nothing(monkeypatch: Patch) -> None:
    monkeypatch.setattr(people, "other_sessions", lambda db, session_key, limit: ())
    without_facts = msgspec.structs.replace(Config(), memory=MemoryTable(enabled=False))
    report = await run_layer_audit(without_facts, FEW)
    assert not report.leaks and not report.told
    assert not report.is_clean


async def test_a_server_that_shows_in_a_group_what_was_said_in_private_is_found_out(
    monkeypatch: Patch,
) -> None:
    def readable(scopes: Scopes, *, linked: tuple[str, ...]) -> tuple[LayerReach, ...]:
        groups = () if scopes.group is None else (LayerReach("group", scopes.group),)
        return (*(LayerReach("person", name) for name in linked), *groups)

    monkeypatch.setattr(people, "readable", readable)
    assert len(await leaks("prompt")) > 5


async def test_a_server_that_takes_equal_users_of_two_channels_for_one_is_found_out(
    monkeypatch: Patch,
) -> None:
    def names(db: object, id_: str) -> tuple[str, ...]:
        user = id_.partition(":")[2]
        return id_, f"{'tg' if id_.startswith('wx') else 'wx'}:{user}"

    monkeypatch.setattr(people, "names_of", names)
    assert await leaks("prompt")


async def test_a_server_that_ignores_the_patterns_of_api_keys_is_found_out(monkeypatch: Patch) -> None:
    monkeypatch.setattr("nanobot.api.people.reach", lambda caller: ALL)
    assert set(await leaks("/v1/people")) >= {"GET /v1/people/{person_id}", "GET /v1/people"}
