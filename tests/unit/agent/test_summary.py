"""What a summary keeps, and what is added where it lacks something."""

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent import summary
from nanobot.agent.kept_facts import facts_in, lacking
from nanobot.agent.summary import QUOTED, SummaryWriter, tokens_in
from nanobot.core.compaction import Unsummarised
from nanobot.core.message import user
from nanobot.testing import Say, ScriptedModel, call


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
        "docs/plan.md",
        "notes.txt",
        "2027-04-26",
        "12:30",
        "3月5日",
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
    check = lacking

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


# What is wrong with summaries ---------------------------------------------------------------------


@pytest.mark.parametrize("between", [". ", "。"])
async def test_of_a_paragraph_that_is_too_long_the_first_sentences_are_kept(between: str) -> None:
    sentences = [f"They spoke of mountain number {number}" for number in range(10, 200)]
    model = ScriptedModel(f"Carol likes tea{between}{between.join(sentences)}{between}")
    written = await SummaryWriter(300, 10_000).write(of("Hello."), model, session_hint="")
    assert written is not None
    assert written.text.startswith("Carol likes tea")
    assert written.text.endswith(between.strip())
    assert 200 < tokens_in(written.text) <= 300


@pytest.mark.parametrize("answer", ["", "  \n", call("calculate", text="Let me see.")])
async def test_where_the_model_writes_none_the_one_before_stays_with_what_was_said_since(
    answer: str | Say,
) -> None:
    before = "They want to use the blue one.\nAnn lives in Rome."
    unsummarised = of("My code is XK-77.", "I am fine.", before=before)
    written = await SummaryWriter(300, 10_000).write(unsummarised, ScriptedModel(answer), session_hint="")
    assert written is not None
    assert written.text == f"{before}\n{QUOTED.format('My code is XK-77.')}"


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Меня зовут Иван Петров.", "Иван Петров"),
        ("Με λένε Γιώργος Παπαδόπουλος.", "Γιώργος Παπαδόπουλος"),
        ("Mieszkam w mieście Łódź.", "Łódź"),
        ("Benim adım İpek.", "İpek"),
        ("Tôi sống ở Đà Nẵng.", "Đà Nẵng"),
        ("我的车牌是沪A12345。", "A12345"),
        ("我们3月5日出发", "3月5日"),
        ("It is in src/app/foo.py now.", "src/app/foo.py"),
        ("It is in main.rs now.", "main.rs"),
    ],
)
def test_names_dates_codes_and_paths_are_known_in_any_alphabet(text: str, fact: str) -> None:
    assert facts_in(text) == [fact]


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ("我叫王小明，住在上海，对花生过敏。", "今天天气很好。"),
        ("私の名前は田中花子です。", "今日は天気がいいですね。"),
        ("제 이름은 김민수이고 부산에 살아요.", "오늘 날씨가 좋네요."),
        ("اسمي خالد وأعيش في القاهرة.", "الطقس جميل اليوم."),
        ("मेरा नाम राहुल है।", "आज मौसम अच्छा है।"),
        ("ฉันชื่อสมชาย อยู่เชียงใหม่", "วันนี้อากาศดี"),
    ],
)
async def test_what_users_tell_of_themselves_is_kept_where_names_have_no_capitals(
    said: str, other: str
) -> None:
    lost = await SummaryWriter(300, 10_000).write(of(said, other), ScriptedModel("…天"), session_hint="")
    assert lost is not None and lost.text == f"…天\n{QUOTED.format(said)}"
    kept = await SummaryWriter(300, 10_000).write(of(said, other), ScriptedModel(said), session_hint="")
    assert kept is not None and kept.text == said
    quoted = await SummaryWriter(300, 10_000).write(of(said, other), None, session_hint="")
    assert quoted is not None and quoted.text == QUOTED.format(said)
    later = await SummaryWriter(300, 10_000).write(
        of(other, before=lost.text), ScriptedModel("…天"), session_hint=""
    )
    assert later is not None and QUOTED.format(said) in later.text
