"""Of a prefix cache that all sessions share, each is told what it has sent itself."""

import msgspec
import pytest

from nanobot.core.message import Message, ProviderState, Text, Usage, user
from nanobot.core.model import ModelRequest
from nanobot.core.tool import tool_spec
from nanobot.models.own_cache import OwnCacheModel
from nanobot.testing import Say, ScriptedModel

ANSWER = Message("assistant", (Text("Well."),))
TOOL = tool_spec("look", "Look around.", {"type": "object"})
STATE = ProviderState("openai", "x", msgspec.Raw(b"{}"))


class Asking:
    """A provider that has read everything before: each token counts as cached but the last one."""

    def __init__(self) -> None:
        self.inner = ScriptedModel(self._answer)
        self.model = OwnCacheModel(self.inner)

    @staticmethod
    def _answer(request: ModelRequest) -> Say:
        words = [request.system, request.notes, *(message.text for message in request.messages)]
        tokens = sum(len(text.split()) for text in words)
        return Say(message=msgspec.structs.replace(ANSWER, usage=Usage(tokens, 1, tokens - 1)))

    async def cached(self, session: str, *said: Message | str, **fields: object) -> int:
        """Return how many cached tokens the session is told of."""
        messages = tuple(user(each) if isinstance(each, str) else each for each in said)
        request = ModelRequest("You are kind.", messages, session_hint=session)
        request = msgspec.structs.replace(request, **fields)
        answer = [item async for item in self.model.stream(request)][-1]
        assert isinstance(answer, Message) and answer.usage is not None
        return answer.usage.cached_tokens


async def test_a_session_is_told_of_what_it_sent_before_and_no_more() -> None:
    asking = Asking()
    assert await asking.cached("own", "one two three") == 0
    assert await asking.cached("own", "one two three", ANSWER, "four five") == 6
    assert await asking.cached("own", "one two three", ANSWER, "four five", ANSWER, "six") == 9


async def test_a_session_is_told_nothing_of_what_others_have_sent() -> None:
    asking = Asking()
    await asking.cached("victim", "one two three")
    await asking.cached("victim", "one two three", ANSWER, "four five")
    assert await asking.cached("attacker", "one two three") == 0
    assert await asking.cached("attacker", "one two three", ANSWER, "four five") == 6, "its own"


@pytest.mark.parametrize(
    "guess",
    [
        {"system": "You are kind. The pin is 4711."},
        {"tools": (TOOL,)},
        {"messages": (user("the pin is 4711"),)},
        {"messages": (user("one two three"), user("four"))},
        {"messages": (Message("user", (Text("one two three four"),), name="zoe"),)},
    ],
    ids=["instructions", "tools", "another beginning", "another message", "another speaker"],
)
async def test_many_words_of_its_own_do_not_make_another_beginning_its_own(guess: dict[str, object]) -> None:
    asking = Asking()
    await asking.cached("attacker", "one two three four")
    await asking.cached("attacker", "one two three four")
    assert await asking.cached("attacker", **guess) == 0


async def test_words_that_are_claimed_to_be_an_answer_are_no_part_of_what_was_sent() -> None:
    """The answer before was longer than the guess in its place: it counts for nothing."""
    asking = Asking()
    await asking.cached("attacker", "one two")
    guess = Message("assistant", (Text("I like stamps of the Azores."),))
    assert await asking.cached("attacker", "one two", guess, "so") == 5


async def test_notes_at_the_end_are_no_part_of_the_next_prompt() -> None:
    asking = Asking()
    await asking.cached("own", "one two three", notes="It is Monday.")
    assert await asking.cached("own", "one two three", ANSWER, "so", notes="It is Friday.") == 0, (
        "too many are taken off rather than too few"
    )


async def test_a_question_beside_the_conversation_does_not_forget_it() -> None:
    """A title is asked for with other instructions, under the same name."""
    asking = Asking()
    await asking.cached("own", "one two three")
    await asking.cached("own", "a title", system="You give titles.")
    assert await asking.cached("own", "one two three", ANSWER, "four") == 6


async def test_what_a_provider_attached_to_its_answers_is_compared_as_well() -> None:
    asking = Asking()
    one, other = (Message("assistant", (Text("Well.", state),)) for state in (STATE, None))
    await asking.cached("own", "one", one, "two")
    assert await asking.cached("own", "one", other, "two", ANSWER, "three") == 0
    assert await asking.cached("own", "one", one, "two", ANSWER, "three") == 6


async def test_of_very_many_sessions_the_last_ones_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanobot.models.own_cache._MAX_SESSIONS", 3)
    asking = Asking()
    for number in range(5):
        await asking.cached(f"session {number}", "one")
    assert await asking.cached("session 4", "one") == 3
    assert await asking.cached("session 0", "one") == 0
