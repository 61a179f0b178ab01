"""A list is found where it leads to, whatever its session sent before."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.extent import Extent
from nanobot.core.message import File, Message, ProviderState, Text, Thinking, ToolCall, ToolResult
from nanobot.core.visible import place_of
from nanobot.stores.sql.recent_places import RecentPlaces

CALL = Message("assistant", (Text("let me see"), ToolCall("c1", "look", "{}", for_client=True)))
RESULT = Message("tool", (ToolResult("c1", "rain"),))
FILE = Message("user", (Text("see"), File("a.csv", "1,2", extent=Extent("row", {"row": 9}, {1: "a"}))))
STATE = ProviderState("openai", "reasoning", msgspec.Raw(b'{"id": 1}'))
THOUGHT = Message("assistant", (Thinking("hm", STATE), Text("ok", STATE)))
MESSAGES = st.sampled_from(
    [
        *(Message("user", (Text(text),)) for text in "abc"),
        *(Message("assistant", (Text("ok"),)), CALL, RESULT, FILE, THOUGHT),
    ]
)


@given(lists=st.lists(st.tuples(st.integers(0, 40), st.lists(MESSAGES, max_size=20)), max_size=12))
def test_a_list_that_goes_on_anywhere_from_one_before_leads_to_where_it_leads(
    lists: list[tuple[int, list[Message]]],
) -> None:
    recent = RecentPlaces()
    sent: tuple[Message, ...] = ()
    for kept, added in lists:
        sent = (*sent[:kept], *added)
        assert recent.place_of(1, sent) == place_of(sent)


def test_the_sessions_that_were_used_last_are_remembered() -> None:
    recent = RecentPlaces(most_sessions=2)
    long = (Message("user", (Text("a"),)),) * 20
    for session in (1, 2, 1, 3):
        recent.place_of(session, long)
    assert recent.sessions == (1, 3)
