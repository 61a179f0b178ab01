"""What an import has taken, or would take, and what it leaves out: for people and for programs."""

from collections import Counter

import click
import msgspec

from nanobot.cli.terminal import local_time, neutral, one_line
from nanobot.core.fact_words import MOST_CHARACTERS, reads_as_instruction

_MOST_SHOWN = 20
_MOST_TITLE_CHARACTERS = 60


class TakenConversation(msgspec.Struct, frozen=True):
    """A conversation, or what was new of it."""

    key: str
    id: str
    title: str
    messages: int
    begun_at: float


class PlacedFact(msgspec.Struct, frozen=True):
    """A fact, and the session key whose person, group or session it is of."""

    key: str
    text: str
    subject: str
    at: float

    @property
    def is_quoted(self) -> bool:
        """Whether it reads as an instruction."""
        return reads_as_instruction(self.text)


class ImportReport(msgspec.Struct):
    """`key`: as it was given. `left_out`: how many of what, and why, in words."""

    key: str
    program: str
    conversations: list[TakenConversation]
    facts: list[PlacedFact]
    left_out: Counter[str]

    @property
    def messages(self) -> int:
        """How many messages the conversations have."""
        return sum(each.messages for each in self.conversations)


def as_object(report: ImportReport) -> dict[str, object]:
    """Return the report as a JSON object."""
    facts = [{**msgspec.structs.asdict(each), "quoted": each.is_quoted} for each in report.facts]
    return {
        "key": report.key,
        "from": report.program,
        "conversations": report.conversations,
        "facts": facts,
        "left_out": dict(report.left_out),
    }


def show(report: ImportReport, *, is_dry: bool) -> None:
    """Print the report."""
    taken = "would be taken" if is_dry else "taken"
    click.echo(
        f"{taken}: {len(report.conversations)} conversations with {report.messages} messages,"
        f" {len(report.facts)} facts"
    )
    for each in report.conversations[:_MOST_SHOWN]:
        title = one_line(each.title or each.id)[:_MOST_TITLE_CHARACTERS]
        click.echo(
            f"  {local_time(each.begun_at)}  {each.messages:>5} messages  {neutral(each.key)}  {title}"
        )
    _say_rest(len(report.conversations))
    for fact in report.facts[:_MOST_SHOWN]:
        click.echo(f"  {local_time(fact.at)}  {_described(fact)}")
    _say_rest(len(report.facts))
    if report.left_out:
        click.echo("left out:")
    for what, count in sorted(report.left_out.items()):
        click.echo(f"  {count:>5}  {neutral(what)}")


def _say_rest(count: int) -> None:
    if count > _MOST_SHOWN:
        click.echo(f"  … and {count - _MOST_SHOWN} more (--json has all)")


def _described(fact: PlacedFact) -> str:
    subject = f"{fact.subject}: " if fact.subject else ""
    notes = [
        note
        for note, is_so in (
            ("reads as an instruction, is only quoted", fact.is_quoted),
            (f"cut to {MOST_CHARACTERS} characters", len(fact.text) > MOST_CHARACTERS),
        )
        if is_so
    ]
    return one_line(subject + fact.text) + (f" ({'; '.join(notes)})" if notes else "")
