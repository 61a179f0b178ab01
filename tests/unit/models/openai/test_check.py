"""Whether the provider can be reached, asked without a request to the model."""

import pytest

from nanobot.core.errors import ModelError, ModelOverloaded, ModelRefusedKey, ModelTimeout, ModelUnreachable
from nanobot.models.http import Timeouts
from nanobot.models.openai.chat import OpenAIChat
from tests.clock import PausedClock
from tests.unit.models.openai.asking import model_at
from tests.upstream import Reply, Upstream, dropped, json_reply, refused, silent


async def test_a_check_asks_for_the_models_and_holds_for_half_a_minute(
    upstream: Upstream, model: OpenAIChat, clock: PausedClock
) -> None:
    await model.check()
    clock.time += 29
    await model.check()
    assert [(asked.method, asked.path) for asked in upstream.requests] == [("GET", "/v1/models")]
    clock.time += 1
    await model.check()
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("status", [200, 404, 405, 429])
async def test_any_answer_but_a_refused_key_or_a_failing_server_is_reachable(
    upstream: Upstream, model: OpenAIChat, status: int
) -> None:
    upstream.then(json_reply({}, status))
    await model.check()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refused(401), ModelRefusedKey),
        (refused(403), ModelRefusedKey),
        (refused(503), ModelOverloaded),
        (dropped(), ModelUnreachable),
    ],
)
async def test_a_failed_check_says_why_and_is_not_remembered(
    upstream: Upstream, model: OpenAIChat, reply: Reply, kind: type[ModelError]
) -> None:
    healthy = upstream.answer
    upstream.answer = lambda asked: reply
    with pytest.raises(kind):
        await model.check()
    upstream.answer = healthy
    await model.check()


async def test_a_check_does_not_wait_long(upstream: Upstream, clock: PausedClock) -> None:
    model = model_at(upstream.url, clock, timeouts=Timeouts(check_s=0.1))
    upstream.then(silent())
    with pytest.raises(ModelTimeout, match=r"within 0\.1 s"):
        await model.check()
    await model.close()
    await upstream.deserted()
