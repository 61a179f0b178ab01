"""What the doctor finds of models and ports: against a real provider's door and a real server."""

from pathlib import Path
from typing import Any

import pytest

from nanobot.cli.check_result import CheckResult
from nanobot.cli.doctor_server import examine
from tests.harness import OpenHarness, configured, listening
from tests.upstream import Asked, Reply, Upstream, greet, json_reply, refused


async def found(data: Path, *, asks: bool = False, **tables: dict[str, Any]) -> dict[str, CheckResult]:
    """Return what was found, by check. `asks`: of models, too, by asking them."""
    return {
        finding.check: finding
        for finding in await examine(configured(data, {"server": {"port": 0}, **tables}), asks=asks)
    }


def at(upstream: Upstream) -> dict[str, Any]:
    return {"name": "openai:test", "base_url": upstream.url, "api_key": "sk-secret"}


@pytest.fixture(autouse=True)
def _no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


async def test_a_model_that_answers_is_ok_and_it_says_who_chose_it(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        model = (await found(tmp_path, model=at(upstream)))["model"]
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-secret"
    assert model.status == "ok"
    assert model.text.startswith("openai:test (as configured)")


async def test_a_key_that_is_refused_fails_and_the_line_names_the_variable_but_not_the_key(
    tmp_path: Path,
) -> None:
    async with Upstream() as upstream:
        upstream.then(refused(401, "Incorrect API key provided"))
        model = (await found(tmp_path, model=at(upstream)))["model"]
    assert model.status == "fail"
    assert model.remedy == "set another key in api_key of [model], or remove it and set OPENAI_API_KEY"
    assert "sk-secret" not in model.text + model.remedy


@pytest.mark.parametrize(
    ("provider", "variables", "place"),
    [
        ({"api_key": "sk-secret"}, {}, "another key in api_key of [providers.openai], or remove it and set"),
        ({"api_keys": ["a", "b"]}, {}, "another key in api_keys of [providers.openai]"),
        ({"key_variable": "TEAM"}, {"TEAM": "k"}, "another key in TEAM (key_variable of [providers.openai])"),
        ({}, {"OPENAI_API_KEY": "k"}, "another key in OPENAI_API_KEY"),
        ({}, {}, "a key in OPENAI_API_KEY or api_key of [providers.openai]"),
    ],
)
async def test_the_line_of_a_refused_key_names_the_place_that_the_key_came_from(
    provider: dict[str, Any],
    variables: dict[str, str],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    async with Upstream(lambda asked: refused(401, "Incorrect API key provided")) as upstream:
        model = {"name": "openai:test", "base_url": upstream.url}
        results = await found(tmp_path, model=model, providers={"openai": provider})
    assert results["model"].remedy.startswith(f"set {place}")


async def test_a_model_that_the_provider_has_no_more_fails_only_when_it_is_asked(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return greet(asked) if asked.method == "GET" else refused(404, "The model does not exist")

    async with Upstream(answer) as upstream:
        reached = (await found(tmp_path, model=at(upstream)))["model"]
        asked = (await found(tmp_path, asks=True, model=at(upstream)))["model"]
    assert reached.status == "ok"
    assert asked.status == "fail" and "does not exist" in asked.text and "--model" in asked.remedy


async def test_a_model_is_asked_for_one_token_and_for_a_few_where_it_refuses_that(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        assert (await found(tmp_path, asks=True, model=at(upstream)))["model"].text.endswith(", answered")
        upstream.then(json_reply({"data": []}), refused(400, "max_tokens must be at least 16"))
        assert (await found(tmp_path, asks=True, model=at(upstream)))["model"].status == "ok"
        limits = [asked.json["max_tokens"] for asked in upstream.requests if asked.method == "POST"]
    assert limits == [1, 1, 16]


async def test_a_key_that_chooses_no_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", "sk-canary")
    key = (await found(tmp_path))["key"]
    assert key.status == "warn" and "FIREWORKS_API_KEY" in key.text and "canary" not in key.text


async def test_a_model_that_cannot_be_reached_fails_and_presets_are_checked_too(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        table = at(upstream)
    preset = {"fast": table, "echo": {"name": "echo"}, "odd": {"name": "nobody:x"}, "bare": {}}
    checks = await found(tmp_path, model={"name": "echo"}, models=preset)
    assert (checks["model"].status, checks["echo"].status) == ("ok", "ok")
    assert checks["fast"].status == "fail" and checks["fast"].remedy
    assert checks["odd"].status == "fail" and "nobody" in checks["odd"].text
    assert checks["bare"].status == "fail" and "name" in checks["bare"].remedy


async def test_a_port_where_a_nanobot_answers_is_ok_even_if_it_wants_a_key(
    open_harness: OpenHarness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harness = await open_harness(api={"key": "sesame"})
    async with listening(harness.app.asgi) as server:
        number = server.port
        port = (await found(tmp_path, model={"name": "echo"}, server={"port": number}))["port"]
    assert (port.status, port.text) == ("ok", f"a nanobot answers on 127.0.0.1 port {number}")
    # The server is not asked in a way that it takes for an attack.
    assert "Invalid HTTP request" not in caplog.text


async def test_a_port_where_something_else_answers_fails(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        upstream.then(json_reply({"status": "something else"}))
        number = int(upstream.url.rpartition(":")[2].partition("/")[0])
        port = (await found(tmp_path, model={"name": "echo"}, server={"port": number}))["port"]
    assert port.status == "fail" and str(number) in port.text


async def test_an_open_host_without_a_key_fails(tmp_path: Path) -> None:
    checks = await found(tmp_path, model={"name": "echo"}, server={"host": "0.0.0.0", "port": 0})
    assert checks["access"].status == "fail" and "NANOBOT_API_KEY" in checks["access"].text
    assert "access" not in await found(
        tmp_path, model={"name": "echo"}, server={"host": "0.0.0.0", "port": 0}, api={"key": "sesame"}
    )


async def test_an_open_host_with_a_key_that_can_be_guessed_fails(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"model": {"name": "echo"}, "server": {"host": "0.0.0.0", "port": 0}}
    checks = await found(tmp_path, **tables, api={"key": "sesame"})
    assert checks["weak key"].status == "fail" and "openssl" in checks["weak key"].text
    assert "weak key" not in await found(tmp_path, **tables, api={"key": "kW3-tR8_qZ6-mB1_xN5-hJ9"})
