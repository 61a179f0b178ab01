"""A model that counts more tokens than are estimated is shown less: its window holds, the prefix stays."""

from itertools import pairwise

from nanobot.core.message import Message, Text, Usage, estimate_tokens
from nanobot.core.model import ModelRequest
from nanobot.testing import Say, ScriptedModel
from tests.flow.test_compaction import talk
from tests.harness import OpenHarness

WINDOW = 12_000
DENSITY = 1.75


class Dense:
    """A script for which each estimated token is nearly two; `tells`: it says what it has counted."""

    def __init__(self, *, tells: bool) -> None:
        self._tells = tells
        self.sizes: list[int] = []
        self.starts: list[str] = []

    def __call__(self, request: ModelRequest) -> Say:
        size = int(DENSITY * sum(map(estimate_tokens, request.messages)))
        self.sizes.append(size)
        self.starts.append(request.messages[0].text)
        text = "They saw rivers and towers. " * 60
        return Say((), Message("assistant", (Text(text),), "stop", Usage(size, 80) if self._tells else None))


async def talked(open_harness: OpenHarness, *, tells: bool) -> Dense:
    dense = Dense(tells=tells)
    harness = await open_harness(
        ScriptedModel(dense, name="dense", context_tokens=1_000_000),
        agent={"window_tokens": WINDOW},
        compaction={"enabled": False},
        recall={"tokens": 0},
    )
    said = (f"In year {number}, what did they see beyond the mountains? " * 6 for number in range(60))
    await talk(harness, "a", *said)
    return dense


async def test_the_window_holds_where_it_is_known_how_the_model_counts(open_harness: OpenHarness) -> None:
    dense = await talked(open_harness, tells=True)
    assert max(dense.sizes) <= WINDOW
    moved = sum(one != other for one, other in pairwise(dense.starts[-30:]))
    assert moved <= 15, "the cut moves in steps, as ever"


async def test_a_model_that_does_not_tell_what_it_counts_is_shown_what_is_estimated(
    open_harness: OpenHarness,
) -> None:
    assert max((await talked(open_harness, tells=False)).sizes) > WINDOW
