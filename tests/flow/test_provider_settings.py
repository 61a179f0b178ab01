"""What can be set for a provider and a model: what a scripted provider gets, and what clients are told."""

import logging
import random
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nanobot.app import choose_model, make_model
from nanobot.app.endpoints import find_access, known_providers
from nanobot.config import Config
from nanobot.core.errors import ModelError
from nanobot.core.model import Model
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.providers import ModelName
from nanobot.models.remote_settings import RemoteSettings
from nanobot.models.transport import Transport
from nanobot.testing import FakeClock
from tests.anthropic_api import answer as messages_answer
from tests.certificate import certificate
from tests.gemini_api import answer as gemini_answer
from tests.harness import OpenHarness, configured
from tests.proxy import Proxy
from tests.responses_api import answered, said
from tests.upstream import Asked, Reply, Upstream, greet, json_reply, refused

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def made(config: Config, clock: FakeClock, environment: dict[str, str] | None = None) -> Model:
    environment = environment or {}
    name = choose_model(config, environment).name
    return make_model(name, config.model, config, environment, clock)


def model_at(
    upstream: Upstream, data: Path, clock: FakeClock, *, providers: dict[str, Any] | None = None, **table: Any
) -> Model:
    given = {"name": "openai:m", "base_url": upstream.url, "api_key": "sk-secret-1", **table}
    return made(configured(data, {"model": given, "providers": providers or {}}), clock)


# What the provider gets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "is_salted"),
    [
        ({"name": "vllm:m"}, True),
        ({"name": "vllm:m", "wire": "responses"}, True),
        ({"name": "vllm:m", "cache_salt": "no"}, False),
        ({"name": "openai:m"}, False),
        ({"name": "openai:m", "cache_salt": "yes"}, True),
    ],
)
async def test_the_cache_of_a_server_is_kept_apart_by_session_where_it_can_be(
    upstream: Upstream,
    open_harness: OpenHarness,
    tmp_path: Path,
    clock: FakeClock,
    table: dict[str, Any],
    is_salted: bool,
) -> None:
    """Otherwise how many tokens were cached tells whether another session began with the same words."""
    if "wire" in table:
        upstream.answer = lambda asked: answered(said("Hello"))
    harness = await open_harness(model_at(upstream, tmp_path, clock, **table))
    for key in ("one", "one", "other"):
        await harness.door.chat(key, "hello")
    salts = [asked.json.get("cache_salt") for asked in upstream.requests]
    if not is_salted:
        assert salts == [None] * 3
        return
    one, again, other = salts
    assert one == again != other
    assert all(len(salt) >= 32 for salt in salts)


async def test_headers_body_and_sampling_are_those_of_the_provider_and_of_the_model(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    model = model_at(
        upstream,
        tmp_path,
        clock,
        providers={"openai": {"headers": {"X-Title": "ours", "X-Team": "a"}, "body": {"top_k": 40}}},
        headers={"X-Team": "b", "user-agent": "bot"},
        body={"provider": {"sort": "price"}, "temperature": 0.1},
        top_p=0.9,
        max_tokens=77,
        reasoning_effort="high",
        auth="x-key",
    )
    harness = await open_harness(model)
    assert (await harness.door.chat("k", "Hi")).status == 200
    sent, headers = upstream.requests[-1].json, upstream.requests[-1].headers
    assert (headers["x-title"], headers["x-team"], headers["user-agent"]) == ("ours", "b", "bot")
    assert headers["x-key"] == "sk-secret-1" and "authorization" not in headers
    assert (sent["top_k"], sent["provider"], sent["temperature"]) == (40, {"sort": "price"}, 0.1)
    assert (sent["top_p"], sent["max_tokens"], sent["reasoning_effort"]) == (0.9, 77, "high")


async def test_a_request_that_sets_its_sampling_itself_has_it(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    harness = await open_harness(
        model_at(upstream, tmp_path, clock, temperature=0.1, max_tokens=77, reasoning_effort="high")
    )
    await harness.door.chat("k", "Hi", temperature=0, reasoning_effort="low")
    sent = upstream.requests[-1].json
    assert (sent["temperature"], sent["max_tokens"], sent["reasoning_effort"]) == (0, 77, "low")


@pytest.mark.parametrize("field", ["messages", "tools", "stream", "model"])
@pytest.mark.parametrize("wire", ["openai", "responses", "anthropic", "gemini"])
def test_what_the_request_is_made_of_cannot_be_set(
    field: str, wire: str, tmp_path: Path, clock: FakeClock
) -> None:
    table = {"name": "openai:m", "api_key": "k", "wire": wire, "body": {field: []}}
    with pytest.raises(Exception, match=field):
        made(configured(tmp_path, {"model": table}), clock)


async def test_extra_fields_of_gemini_are_joined_to_its_own_objects(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Upstream(gemini_answer) as upstream:
        model = model_at(
            upstream,
            tmp_path,
            clock,
            name="gemini:gemini-flash-latest",
            base_url=upstream.url.removesuffix("/v1"),
            body={"generationConfig": {"topK": 5}, "safetySettings": []},
            temperature=0.5,
        )
        harness = await open_harness(model)
        assert (await harness.door.chat("k", "Hi")).status == 200
        sent = upstream.requests[-1].json
        assert sent["generationConfig"]["topK"] == 5 and sent["generationConfig"]["temperature"] == 0.5
        assert sent["safetySettings"] == [] and list(sent)[-1] == "contents"


async def test_another_wire_format_and_its_extra_fields(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Upstream(messages_answer) as upstream:
        model = model_at(
            upstream,
            tmp_path,
            clock,
            name="work:claude",
            providers={"work": {"base_url": upstream.url, "wire": "anthropic"}},
            body={"top_k": 5},
        )
        harness = await open_harness(model)
        assert (await harness.door.chat("k", "Hi")).status == 200
        asked = upstream.requests[-1]
        assert asked.path == "/v1/messages" and asked.json["top_k"] == 5
        assert asked.headers["x-api-key"] == "sk-secret-1"
        assert list(asked.json)[-1] == "messages"


# Abilities ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_without_tools_the_servers_own_are_left_out_and_a_clients_are_refused(
    wire: str, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Upstream(greet if wire == "openai" else messages_answer) as upstream:
        harness = await open_harness(model_at(upstream, tmp_path, clock, tools="no", wire=wire))
        assert (await harness.door.chat("k", "Hi")).status == 200
        assert "tools" not in upstream.requests[-1].json
        refusal = await harness.door.chat("l", "Hi", tools=[WEATHER])
        assert refusal.status == 400
        assert "as the settings say" in refusal.json["error"]["message"]
        assert len(upstream.requests) == 1


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_without_images_a_new_one_is_refused(
    wire: str, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Upstream(greet if wire == "openai" else messages_answer) as upstream:
        harness = await open_harness(model_at(upstream, tmp_path, clock, images="no", wire=wire))
        content = [{"type": "text", "text": "What is it?"}, PICTURE]
        refusal = await harness.door.chat("k", [{"role": "user", "content": content}])
        assert refusal.status == 400
        assert "takes no images, as the settings say" in refusal.json["error"]["message"]
        assert upstream.requests == []


# Keys ---------------------------------------------------------------------------------------------


def bearer(asked: Asked) -> str:
    return asked.headers.get("authorization", "").removeprefix("Bearer ")


@pytest.mark.parametrize(
    "refusal",
    [
        refused(401, "Incorrect API key provided: sk-secret-1"),
        refused(429, "slow down", headers={"Retry-After": "120"}),
        refused(402, "insufficient balance"),
    ],
    ids=["refused", "rate limited", "unpaid"],
)
async def test_a_key_that_is_refused_gives_way_to_the_next_which_later_requests_use_at_once(
    refusal: Reply, upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    upstream.then(refusal)
    harness = await open_harness(model_at(upstream, tmp_path, clock, api_keys=["sk-secret-2"]))
    assert (await harness.door.chat("k", "Hi")).status == 200
    assert (await harness.door.chat("k", "And again")).status == 200
    assert [bearer(asked) for asked in upstream.requests] == ["sk-secret-1", "sk-secret-2", "sk-secret-2"]


async def test_where_every_key_is_refused_it_is_told_without_any_of_them(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    upstream.answer = lambda asked: refused(401, f"Incorrect API key provided: {bearer(asked)}")
    harness = await open_harness(
        model_at(upstream, tmp_path, clock, api_keys=["sk-secret-2"], headers={"X-Gate": "gate-secret"})
    )
    told = await harness.door.chat("k", "Hi")
    assert told.status == 502 and told.json["error"]["code"] == "model_refused_key"
    assert "secret" not in told.text
    assert len(upstream.requests) == 2


async def test_a_key_that_has_expired_is_fetched_again_and_the_request_repeated(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    key = tmp_path / "key"
    key.write_text("token-1")
    script = tmp_path / "print_key.py"
    script.write_text(f"print(open({str(key)!r}).read())")
    program = f"{sys.executable} {script}"
    harness = await open_harness(model_at(upstream, tmp_path, clock, api_key=None, key_command=program))
    assert (await harness.door.chat("k", "Hi")).status == 200
    key.write_text("token-2")
    clock.advance(60)
    upstream.then(refused(401, "Request had invalid authentication credentials: token-1"))
    assert (await harness.door.chat("k", "And again")).status == 200
    assert [bearer(asked) for asked in upstream.requests] == ["token-1", "token-1", "token-2"]


# The way out --------------------------------------------------------------------------------------


def served_by(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context


def port_of(upstream: Upstream) -> int:
    return int(upstream.url.rpartition(":")[2].partition("/")[0])


async def test_https_goes_through_the_environments_proxy_and_trusts_a_certificate_of_ones_own(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    file, key = certificate(tmp_path, "llm.example.com")
    async with Upstream(tls=served_by(file, key)) as upstream, Proxy(port_of(upstream)) as proxy:
        config = configured(
            tmp_path, {"model": {"name": "openai:m", "base_url": "https://llm.example.com/v1"}}
        )
        environment = {
            "OPENAI_API_KEY": "sk-secret-1",
            "HTTPS_PROXY": proxy.url.replace("//", "//user:proxy-secret@"),
            "REQUESTS_CA_BUNDLE": str(file),
        }
        harness = await open_harness(made(config, clock, environment))
        assert (await harness.door.chat("k", "Hi")).said == "Hello there"
        # user:proxy-secret
        assert proxy.requests == [("CONNECT llm.example.com:443 HTTP/1.1", "Basic dXNlcjpwcm94eS1zZWNyZXQ=")]


@pytest.mark.parametrize("more", [{}, {"api_keys": ["sk-secret-2"]}, {"auth": "x-api-key"}])
async def test_a_proxy_that_https_goes_through_learns_nothing_but_the_host(
    more: dict[str, Any], open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    file, key = certificate(tmp_path, "llm.example.com")
    async with Upstream(tls=served_by(file, key)) as upstream, Proxy(port_of(upstream)) as proxy:
        model = model_at(
            upstream,
            tmp_path,
            clock,
            base_url="https://llm.example.com/v1",
            proxy=proxy.url,
            ca_file=str(file),
            headers={"X-Gate": "gate-secret"},
            **more,
        )
        harness = await open_harness(model)
        assert (await harness.door.chat("k", "Hi")).status == 200
        await model.check()
        assert proxy.heads and not any("secret" in head or "bearer" in head.lower() for head in proxy.heads)
        assert all("sk-secret-1" in str(asked.headers) for asked in upstream.requests)
        assert all(asked.headers["x-gate"] == "gate-secret" for asked in upstream.requests)


async def test_plain_http_goes_through_a_proxy_of_the_settings(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Proxy(port_of(upstream)) as proxy:
        model = model_at(upstream, tmp_path, clock, base_url="http://llm.example.com/v1", proxy=proxy.url)
        harness = await open_harness(model)
        assert (await harness.door.chat("k", "Hi")).said == "Hello there"
        assert proxy.requests[0][0] == "POST http://llm.example.com/v1/chat/completions HTTP/1.1"


async def test_a_certificate_that_nobody_trusts_is_told(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    file, key = certificate(tmp_path, "localhost")
    async with Upstream(tls=served_by(file, key)) as upstream:
        harness = await open_harness(model_at(upstream, tmp_path, clock, max_retries=0))
        told = await harness.door.chat("k", "Hi")
    assert told.status == 502 and "certificate" in told.json["error"]["message"]


async def test_a_proxy_that_refuses_is_told_without_its_password(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Proxy(port_of(upstream), refuses=407) as proxy:
        url = proxy.url.replace("//", "//user:proxy-secret@")
        model = model_at(
            upstream, tmp_path, clock, base_url="https://llm.example.com/v1", proxy=url, max_retries=0
        )
        harness = await open_harness(model)
        told = await harness.door.chat("k", "Hi")
    message = told.json["error"]["message"]
    assert told.status == 502 and f"the proxy {proxy_shown(url)} answered 407" in message
    assert "secret" not in message


def proxy_shown(url: str) -> str:
    return url.replace("user:proxy-secret@", "")


async def test_a_proxy_that_is_not_there_is_told_without_its_password(
    upstream: Upstream, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Proxy(port_of(upstream)) as proxy:
        url = proxy.url.replace("//", "//user:proxy-secret@")
    model = model_at(
        upstream, tmp_path, clock, base_url="https://llm.example.com/v1", proxy=url, max_retries=0
    )
    harness = await open_harness(model)
    told = await harness.door.chat("k", "Hi")
    message = told.json["error"]["message"]
    assert told.status == 502 and f"no connection to the proxy {proxy_shown(url)}" in message
    assert "secret" not in message


# Models that are gone -----------------------------------------------------------------------------


def listing(*names: str, alias: str = "") -> Any:
    """Return what answers with a list of models, knows `alias` besides, and refuses other models."""

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/models"):
            return json_reply({"object": "list", "data": [{"id": name} for name in names]})
        if asked.method == "GET":
            is_known = alias and asked.path.endswith(f"/models/{alias}")
            return json_reply({"id": alias}) if is_known else refused(404, "no such model")
        return greet(asked) if asked.json["model"] in names else refused(404, "The model does not exist")

    return answer


@pytest.mark.parametrize(
    ("model", "is_there"), [("listed", True), ("alias-latest", True), ("dead", False), ("models/odd", False)]
)
async def test_a_model_that_is_neither_in_the_list_nor_known_by_itself_is_not_ready(
    model: str, is_there: bool, clock: FakeClock
) -> None:
    async with Upstream(listing("models/listed", alias="alias-latest")) as upstream:
        checked = OpenAIChat(
            RemoteSettings(
                name=f"openai:{model}",
                model=model,
                base_url=upstream.url,
                api_key="k",
                context_tokens=8_000,
                transport=Transport(lists_all=True),
            ),
            clock=clock,
            random=random.Random(1),
        )
        if is_there:
            await checked.check()
        else:
            with pytest.raises(ModelError, match="there is no model"):
                await checked.check()
        await checked.close()


async def test_a_server_whose_model_was_refused_as_unknown_is_not_ready_until_an_answer_comes(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    async with Upstream(listing("other")) as upstream:
        harness = await open_harness(model_at(upstream, tmp_path, clock))
        assert (await harness.door.get("/ready")).status == 200
        assert (await harness.door.chat("k", "Hi")).status == 502
        ready = await harness.door.get("/ready")
        assert ready.status == 503 and "The model does not exist" in ready.json["model"]
        upstream.answer = greet
        assert (await harness.door.chat("l", "Hi")).status == 200
        assert (await harness.door.get("/ready")).status == 200


# Ollama -------------------------------------------------------------------------------------------


class Ollama:
    """Answers as an Ollama server that cuts requests to `window` tokens once the model is loaded."""

    def __init__(self, window: int, parameters: str = "") -> None:
        self.window = window
        self.parameters = parameters
        self.is_loaded = False

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/api/ps":
            running = {"name": "qwen3:latest", "model": "qwen3:latest", "context_length": self.window}
            return json_reply({"models": [running] if self.is_loaded else []})
        if asked.path == "/api/show":
            assert asked.json == {"model": "qwen3"}
            return json_reply({"parameters": self.parameters, "model_info": {"qwen3.context_length": 40_960}})
        if asked.path.endswith("/chat/completions"):
            self.is_loaded = True
        return greet(asked)


def ollama_at(upstream: Upstream, data: Path, clock: FakeClock, **table: Any) -> Model:
    given = {"name": "ollama:qwen3", "base_url": upstream.url, **table}
    return made(configured(data, {"model": given}), clock)


async def test_the_window_is_the_one_that_ollama_cuts_to_and_is_told_once(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with Upstream(Ollama(6_000)) as upstream:
        model = ollama_at(upstream, tmp_path, clock, context_tokens=32_000)
        harness = await open_harness(model)
        with caplog.at_level(logging.INFO, "nanobot.models.ollama"):
            await model.warm()
            assert model.context_tokens == 4_096
            for text in ("Hi", "And again"):
                assert (await harness.door.chat("k", text)).status == 200
            assert model.context_tokens == 6_000
            clock.advance(60)
            await model.check()
        told = [record.getMessage() for record in caplog.records if record.name == "nanobot.models.ollama"]
        assert [("4096" in line, "6000" in line) for line in told] == [(True, False), (False, True)]
        assert all("OLLAMA_CONTEXT_LENGTH" in line for line in told)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1/models", "/api", "/api/chat", "/api/generate/"],
)
async def test_ollama_is_found_whichever_of_its_addresses_is_set(
    open_harness: OpenHarness, tmp_path: Path, clock: FakeClock, path: str
) -> None:
    async with Upstream(Ollama(6_000)) as upstream:
        model = ollama_at(upstream, tmp_path, clock, base_url=upstream.url.removesuffix("/v1") + path)
        harness = await open_harness(model)
        assert (await harness.door.chat("k", "Hi")).status == 200
        paths = {asked.path for asked in upstream.requests}
        assert paths == {"/v1/chat/completions", "/api/ps"} | ({"/api/show"} & paths)
        assert model.context_tokens == 6_000


@pytest.mark.parametrize(
    ("name", "base_url", "asked"),
    [
        ("openai:qwen3", "http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("openai:qwen3", "http://gpu:11434/v1", "http://gpu:11434/v1"),
        ("work:qwen3", "http://gpu:11434/api", "http://gpu:11434/v1"),
        ("ollama:qwen3", "https://gpu.example/ollama", "https://gpu.example/ollama"),
        ("openai:qwen3", "http://gpu:8000", None),
        ("openai:qwen3", "https://gpu.example/v1", None),
    ],
)
def test_what_listens_at_ollamas_port_is_asked_for_its_window_whatever_it_is_called(
    tmp_path: Path, clock: FakeClock, name: str, base_url: str, asked: str | None
) -> None:
    tables: dict[str, Any] = {"model": {"name": name, "base_url": base_url, "api_key": "none"}}
    if name.startswith("work:"):
        tables = {"model": {"name": name}, "providers": {"work": {"base_url": base_url}}}
    config = configured(tmp_path, tables)
    access = find_access(
        ModelName(*name.split(":")), known_providers(config)[name.partition(":")[0]], config.model, {}, clock
    )
    assert access.tells_window is (asked is not None)
    assert access.base_url == (asked or base_url)


async def test_a_window_of_the_modelfile_holds_before_the_model_is_loaded(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with Upstream(Ollama(16_384, 'stop "x"\nnum_ctx                        16384\n')) as upstream:
        model = ollama_at(upstream, tmp_path, clock)
        await model.warm()
        assert model.context_tokens == 16_384
        await model.close()


async def test_the_settings_may_allow_less_than_ollama_gives(tmp_path: Path, clock: FakeClock) -> None:
    ollama = Ollama(16_384)
    ollama.is_loaded = True
    async with Upstream(ollama) as upstream:
        model = ollama_at(upstream, tmp_path, clock, context_tokens=2_048)
        await model.warm()
        assert model.context_tokens == 2_048
        await model.close()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models": null}', b'{"models": [1]}', b"<html>"])
async def test_a_server_that_tells_no_window_answers_all_the_same(
    body: bytes, open_harness: OpenHarness, tmp_path: Path, clock: FakeClock
) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply((body,), framing="length") if asked.path.startswith("/api/") else greet(asked)

    async with Upstream(answer) as upstream:
        model = ollama_at(upstream, tmp_path, clock)
        harness = await open_harness(model)
        assert (await harness.door.chat("k", "Hi")).status == 200
        assert model.context_tokens == 8_192
