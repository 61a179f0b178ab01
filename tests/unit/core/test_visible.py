"""Places are numbers that can be counted with: what a stretch adds, and what is left without one."""

from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.message import Message, Text, ToolCall
from nanobot.core.visible import place_of

CALL = Message("assistant", (ToolCall("c1", "look", "{}", for_client=True),))
MESSAGES = st.lists(
    st.sampled_from(
        [*(Message("user", (Text(text),)) for text in "abc"), Message("assistant", (Text("ok"),)), CALL]
    ),
    max_size=8,
)


@given(before=MESSAGES, taken=MESSAGES, since=MESSAGES)
def test_a_list_without_a_stretch_leads_to_where_it_leads(
    before: list[Message], taken: list[Message], since: list[Message]
) -> None:
    stretch = place_of(before + taken + since).since(place_of(before + taken))
    assert place_of(before).then(stretch) == place_of(before + since)
