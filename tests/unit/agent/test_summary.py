"""What a summary keeps, and what is added where it lacks something."""

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent import summary
from nanobot.agent.summary import QUOTED, SummaryWriter, facts_in, lacking
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
    assert lacking(wanted, "We are 26, locker AB-12.") == ()
    assert lacking(("26",), "on the 26.") == ()


@pytest.mark.parametrize(
    "fact",
    [
        "https://example.org/a?b=1",
        "ada@example.org",
        r"C:\Users\ada\notes.txt",
        "~/notes.txt",
        "/etc/hosts",
        "2027-04-26",
        "12:30",
        "42",
        "AB-12",
        "NASA",
        "McKay",
        "Grace Hopper",
    ],
)
@pytest.mark.parametrize("around", ["keep {} in mind", "keep {}, please", "{}, it was: keep {}."])
def test_what_is_to_be_kept_is_found_whatever_stands_around_it(fact: str, around: str) -> None:
    assert fact in facts_in(around.replace("{}", fact))


def test_quotations_are_to_be_kept_and_plain_words_are_not() -> None:
    assert facts_in('meet me at "the blue door" tomorrow') == ["the blue door"]
    assert facts_in("nothing of all this is a fact, is it?") == []


async def test_where_not_all_has_room_numbers_alone_are_left_out_first() -> None:
    said = ["I was born on 1988-04-02.", *(f"{number}." for number in range(10, 90))]
    written = await SummaryWriter(60, 10_000).write(of(*said), None, session_hint="")
    assert written is not None and QUOTED.format("I was born on 1988-04-02.") in written.text


@given(st.from_regex(r"[0-9]{2,4}", fullmatch=True), st.text("0123456789.,:/- a٣", max_size=12))
def test_a_number_is_there_where_nothing_joins_it_to_other_digits(fact: str, around: str) -> None:
    text = f"{around}{fact}{around[::-1]}"
    pattern = rf"(?<!\d)(?<!\d[.,:/-]){fact}(?!\d|[.,:/-]\d)"
    assert (lacking((fact,), text) == ()) == (re.search(pattern, text) is not None)


async def test_a_summary_is_checked_beside_the_event_loop_and_without_a_pattern_for_each_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All turns wait for the event loop: hundreds of patterns held it up for a tenth of a second."""
    said = [f"Number {number} is at {number + 1_000} and {number + 5_000}." for number in range(100, 250)]
    model = ScriptedModel("I remember nothing.", " ".join(said[:20]))
    threads: set[threading.Thread] = set()
    check = summary.lacking

    def noting(wanted: tuple[str, ...], text: str) -> tuple[str, ...]:
        threads.add(threading.current_thread())
        return check(wanted, text)

    monkeypatch.setattr(summary, "lacking", noting)
    re.purge()
    written = await SummaryWriter(4_000, 100_000).write(of(*said), model, session_hint="")
    assert written is not None
    assert len(model.requests) == 2
    assert threads and threading.main_thread() not in threads
    with monkeypatch.context() as patch:
        patch.setattr(re, "compile", None)
        patch.setattr(re, "_compile", None)
        assert len(check(tuple(str(number) for number in range(10_000, 10_300)), written.text)) == 300
