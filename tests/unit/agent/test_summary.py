"""What a summary keeps, and what is added where it lacks something."""

from nanobot.agent.summary import QUOTED, SummaryWriter, kept, lacking
from nanobot.core.compaction import Unsummarised
from nanobot.core.message import user
from nanobot.testing import ScriptedModel


def of(*said: str, before: str = "") -> Unsummarised:
    return Unsummarised(1, before, tuple(user(text) for text in said), len(said), 1_000, len(said))


TOLD = [f"My code number {number} is XK-{number}." for number in range(100, 120)]


async def test_a_fact_that_one_of_many_summaries_lacks_is_not_lost_by_the_next() -> None:
    before = ""
    for lost in range(100, 120):
        model = ScriptedModel("\n".join(line for line in TOLD if f"XK-{lost}" not in line))
        written = await SummaryWriter(1_000, 10_000).write(of(*TOLD, before=before), model, session_hint="")
        assert written is not None
        assert all(f"XK-{number}" in written.text for number in range(100, 120)), lost
        assert len(model.requests) == 1, "the tenth part that may be lacking is no reason to ask again"
        before = written.text


def test_a_number_is_not_there_because_a_date_or_a_longer_number_has_it() -> None:
    wanted = ("26", "AB-12")
    assert lacking(wanted, "We fly on 2027-04-26 with ab-12.") == ("26",)
    assert lacking(wanted, "126 and 261 and 26.5 and 4.26") == wanted
    assert kept(wanted, "We are 26, locker AB-12.") == 1.0
    assert lacking(("26",), "on the 26.") == ()


async def test_where_not_all_has_room_numbers_alone_are_left_out_first() -> None:
    said = ["I was born on 1988-04-02.", *(f"{number}." for number in range(10, 90))]
    written = await SummaryWriter(60, 10_000).write(of(*said), None, session_hint="")
    assert written is not None and QUOTED.format("I was born on 1988-04-02.") in written.text
