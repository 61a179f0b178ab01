"""Places are numbers that can be counted with: what a stretch adds, and what is left without one."""

from hypothesis import given
from hypothesis import strategies as st

from nanobot.core.message import Audio, File, Image, Message, Text, ToolCall
from nanobot.core.visible import START, place_after, place_of

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


def test_places_of_pictures_and_files_are_those_that_stores_have() -> None:
    """They are kept: another number would make a client's list one that nobody knows."""
    said = (
        Message(
            "user",
            (
                Text("Look"),
                Image("data:image/png;base64," + "QUJD" * 50_000, "low"),
                Audio("UklG" * 100, "wav"),
            ),
            name="ann",
        ),
        Message("user", (File("a.txt", "tëxt \ud83d" * 20_000, "file_1"),)),
        Message("user", (Text("  "), Text(" b\r\n"))),
        Message("user", (Text("plain"),), name="bob"),
        Message("assistant", (Text("x"), Image("https://a/b.png")), name="nobody"),
        Message("user", (Text(" "), Text(" ")), name="x"),
        Message("user", (Text("hi"), Image("x")), sources=("one", "two\ud83d")),
    )
    place, chains = START, []
    for message in said:
        place = place_after(place, message)
        chains.append((place.depth, place.chain))
    assert chains == [
        (1, 2010664954842550300),
        (2, 1769711753496195575),
        (3, 2263587427270735057),
        (4, 876295920385166402),
        (5, 860442027193383190),
        (5, 860442027193383190),
        (6, 696975228883437956),
    ]
