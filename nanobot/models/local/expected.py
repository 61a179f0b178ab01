"""What a small model may write next: calls of tools, words, or an answer that begins in one way.

The grammar is chosen by the words of the message, of those before it, and by what tools have found.
"""

from collections.abc import Sequence

import msgspec

from nanobot.core.message import File, Message
from nanobot.core.model import ModelRequest
from nanobot.models.local import notation
from nanobot.models.local.continued_sums import continued_sum
from nanobot.models.local.conversation import words_of, words_of_user
from nanobot.models.local.days import TODAY, asks_for_date, date_of, day_asked, names_place
from nanobot.models.local.identity import openings_of_identity
from nanobot.models.local.languages import (
    answer_of_time,
    not_in_english,
    opening_of_day,
    opening_of_today,
    openings_of_result,
)
from nanobot.models.local.note_words import claims_of_notes
from nanobot.models.local.persons import not_to_begin_as, not_to_begin_with, tells
from nanobot.models.local.statements import Note, note_of
from nanobot.models.local.stories import openings_of_another, openings_of_story
from nanobot.models.local.sums import is_only_sum, may_be_worked_out, was_worked_out
from nanobot.models.local.times import asks_now, may_ask_time
from nanobot.models.local.units import sum_of_units
from nanobot.models.local.wishes import not_to_refuse

_MAX_STEPS = 2


class Expected(msgspec.Struct, frozen=True):
    """A grammar of what comes next; whether many requests have it, and whether calls may be in it."""

    grammar: str
    is_usual: bool = True
    may_call: bool = False


def expected(request: ModelRequest, turn: tuple[Message, ...], name: str | None) -> Expected:
    """Return what the agent of that `name` may write next in the current `turn`: after a result words alone,
    after an error perhaps another call. `name`: None where the instructions may say otherwise who it is.
    """
    steps = sum(1 for message in turn if message.tool_calls)
    failed = bool(turn) and any(result.is_error for result in turn[-1].tool_results)
    if steps and not (failed and steps < _MAX_STEPS):
        return _after_result(request, turn, failed=failed)
    names = {tool.name for tool in request.tools}
    question = words_of(turn[0]) if turn and not steps else ""
    if question:
        opened = _opened(request.messages, question, name)
        if opened.openings:
            return Expected(notation.opened_grammar(opened.openings, opened.never))
        if call := _certain_call(request.messages, names):
            return call
    return _call_or_words(request, turn, names, question)


def current_turn(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages from the user's last one on."""
    last = max((at for at, message in enumerate(messages) if message.role == "user"), default=len(messages))
    return messages[last:]


def results_of(turn: tuple[Message, ...]) -> tuple[tuple[str, str], ...]:
    """Return the calculations of the turn that the answer is about: expressions, and their results."""
    if not turn or turn[-1].role != "tool":
        return ()
    calls = {call.id: call for message in turn for call in message.tool_calls}
    return tuple(
        (notation.expression_of(call), result.content.strip())
        for message in turn
        for result in message.tool_results
        if (call := calls.get(result.call_id)) is not None
        and call.name == notation.CALCULATE
        and not result.is_error
    )


def _after_result(request: ModelRequest, turn: tuple[Message, ...], *, failed: bool) -> Expected:
    said = words_of_user(request.messages)
    is_alone = is_only_sum(words_of(turn[0]))
    if results_of(turn) and (openings := openings_of_result(said, is_only_sum=is_alone)):
        return Expected(notation.result_grammar(openings))
    if not failed and (opening := _opening_of_day(said, turn)):
        return Expected(notation.result_grammar([opening]), is_usual=False)
    if not failed and (grammar := _grammar_of_now(said, turn)):
        return Expected(grammar, is_usual=False)
    return Expected(notation.text_grammar(not_in_english(said)))


def _certain_call(messages: tuple[Message, ...], names: set[str]) -> Expected | None:
    """Return the call that the last message asks for in so many words."""
    said = words_of_user(messages)
    if notation.CALCULATE in names and (expression := sum_of_units(said[-1]) or continued_sum(messages)):
        return Expected(notation.calculation_grammar(expression), is_usual=False, may_call=True)
    if notation.CURRENT_TIME not in names:
        return None
    if day_asked(said) is not None and not names_place(said[-1]):
        return Expected(notation.TIME_GRAMMAR, may_call=True)
    where = asks_now(said)
    if where is None:
        return None
    return Expected(notation.TIME_GRAMMAR if where == "here" else notation.ZONE_GRAMMAR, may_call=True)


def _call_or_words(
    request: ModelRequest, turn: tuple[Message, ...], names: set[str], question: str
) -> Expected:
    said = words_of_user(request.messages)
    is_answered = bool(turn) and not question
    if not is_answered:
        # What is certainly not asked for is not looked up.
        is_sum = may_be_worked_out(question) or was_worked_out(request.messages)
        allowed = {
            notation.CALCULATE: is_sum and not tells(question),
            notation.CURRENT_TIME: may_ask_time(said),
        }
        names = {name for name in names if allowed.get(name, True)}
    before = request.messages[: -len(turn)] if turn else ()
    as_before = not_to_begin_as(before, question) if question else ()
    claims = claims_of_notes(before)
    grammar = notation.answer_grammar(
        sorted(names),
        # At the beginning there is nothing to recall: questions for that are known by their words. Who sends
        # a file asks about that.
        may_recall=bool(before) and not is_answered and not _has_file(turn[0]),
        not_first=(*_not_first(question, said, as_before), *claims),
    )
    return Expected(grammar, is_usual=not as_before and not claims, may_call=bool(names))


def _has_file(message: Message) -> bool:
    return any(isinstance(part, File) for part in message.parts)


def _not_first(question: str, said: list[str], as_before: Sequence[str]) -> tuple[str, ...]:
    return (*not_to_begin_with(question), *as_before, *not_to_refuse(question), *not_in_english(said))


def _opening_of_day(said: list[str], turn: tuple[Message, ...]) -> str:
    """Return how the answer begins that tells the day which was asked for; empty where none was, or the
    model needs no such help.
    """
    now = next((result.content for result in turn[-1].tool_results), "")
    day = day_asked(said)
    if day is not None:
        found = date_of(day, now)
        return opening_of_day(day, found) if found is not None else ""
    is_today = asks_now(said) == "here" and asks_for_date(said[-1])
    today = date_of(TODAY, now) if is_today else None
    return opening_of_today(said, today) if today is not None else ""


def _grammar_of_now(said: list[str], turn: tuple[Message, ...]) -> str:
    """Return the grammar of an answer that tells the time, here or elsewhere; empty where something else was
    asked for.
    """
    where = None if asks_for_date(said[-1]) else asks_now(said)
    now = next((result.content for result in turn[-1].tool_results), "")
    answer = answer_of_time(said, now) if where is not None else ""
    if not answer or where == "here":
        return notation.whole_grammar(answer) if answer else ""
    # It goes on with the place.
    return notation.opened_grammar([answer.rstrip(".。")])


def _opened(messages: tuple[Message, ...], question: str, name: str | None) -> Note:
    """Return how the answer to the last message must begin; empty where that is left to the model."""
    if (note := note_of(question)).openings:
        return note
    if name is not None and (openings := openings_of_identity(question, name)):
        return Note(openings)
    if openings := openings_of_story(question):
        return Note(openings)
    before = next((each.text for each in reversed(messages) if each.role == "assistant"), "")
    return Note(openings_of_another(words_of_user(messages), before))
