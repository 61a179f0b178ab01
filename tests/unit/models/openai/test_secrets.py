"""API keys and addresses are never shown in errors; settings that cannot be used are refused."""

import pytest

from nanobot.core.errors import ConfigError
from nanobot.models.openai.chat import OpenAIChat
from nanobot.models.refusals import ErrorSource, refusal
from nanobot.models.transport import Transport
from tests.clock import PausedClock
from tests.unit.models.asking import failure
from tests.unit.models.openai.asking import KEY, model_at
from tests.upstream import Upstream, refused


async def test_the_key_is_cut_out_of_what_the_provider_says(upstream: Upstream, model: OpenAIChat) -> None:
    upstream.then(refused(401, f"Incorrect API key provided: {KEY}"))
    error = await failure(model)
    assert KEY not in error.message
    assert "***" in error.message
    assert error.__cause__ is None
    assert error.__suppress_context__


async def test_the_key_does_not_survive_in_part_where_words_are_cut(
    upstream: Upstream, model: OpenAIChat
) -> None:
    upstream.then(refused(400, "x" * 290 + KEY + "y" * 1000))
    error = await failure(model)
    assert KEY[:6] not in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"X-Api-Token": "verysecretvalue"}, ""),
        ({"Authorization": "Bearer verysecretvalue"}, ""),
        ({"Cookie": "a=1; session=verysecretvalue"}, ""),
        ({}, "?key=verysecretvalue"),
        ({}, "?api-version=1&code=very%73ecretvalue"),
    ],
)
async def test_what_a_header_or_the_address_holds_besides_is_cut_out_too(
    upstream: Upstream, clock: PausedClock, headers: dict[str, str], query: str
) -> None:
    model = model_at(upstream.url + query, clock, transport=Transport(headers=headers))
    upstream.then(refused(400, "no such token: verysecretvalue"))
    message = (await failure(model)).message
    assert "verysecretvalue" not in message and "no such token: ***" in message
    await model.close()


async def test_of_two_keys_the_longer_one_leaves_nothing_behind(clock: PausedClock) -> None:
    source = ErrorSource("test:m", "m", "http://h/v1", "sk-12345678", further_secrets=("sk-12345678-other",))
    said = b'{"error":{"message":"bad key sk-12345678-other, not sk-12345678"}}'
    assert "bad key ***, not ***:" in refusal(source, 401, said, None).error.message


async def test_what_a_header_tells_everybody_is_no_secret(upstream: Upstream, clock: PausedClock) -> None:
    """It is the name of a role, or of what the refusal speaks of."""
    headers = {
        "X-Title": "assistant",
        "HTTP-Referer": "https://example.com",
        "User-Agent": "nanobot-server",
        "anthropic-beta": "context-1m-2025-08-07",
    }
    model = model_at(upstream.url, clock, transport=Transport(headers=headers))
    words = "Unexpected role 'assistant': see https://example.com, nanobot-server, context-1m-2025-08-07"
    upstream.then(refused(400, words))
    assert words in (await failure(model)).message
    await model.close()


async def test_without_a_key_the_refusal_says_so(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, api_key=None)
    upstream.then(refused(401, "who are you"))
    assert "none is set" in (await failure(model)).message
    await model.close()


@pytest.mark.parametrize(
    "url",
    [
        "api.example.com/v1",
        "ftp://x/v1",
        "",
        "http://",
        "http://[::1",
        "http://h:99999/v1",
        "http://me:pw@h/v1",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_without_showing_it(clock: PausedClock, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_at(url, clock)
    assert "pw" not in caught.value.message


def test_a_key_with_a_line_break_is_refused_without_showing_it(clock: PausedClock) -> None:
    with pytest.raises(ConfigError) as caught:
        model_at("http://h/v1", clock, api_key=KEY + "\n")
    assert KEY not in caught.value.message


@pytest.mark.parametrize("field", ["model", "messages", "stream", "tools"])
def test_extra_fields_cannot_replace_the_request(clock: PausedClock, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        model_at("http://h/v1", clock, extra_body={field: 1})
