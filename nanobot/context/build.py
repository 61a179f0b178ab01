"""The request to a model, built from a transcript."""

import hashlib

import msgspec

from nanobot.context import prompt
from nanobot.context.files import fit_files
from nanobot.context.history import ends_of, fit, is_plain, repair
from nanobot.context.plan import plan_lines, with_plan
from nanobot.context.results import fit_results, result_budget
from nanobot.core.audience import Audience
from nanobot.core.compaction import Summary
from nanobot.core.cut_result import READ_RESULT
from nanobot.core.dispatch import History
from nanobot.core.errors import ContextOverflow
from nanobot.core.message import ContextView, Message, PassedOver, Text, user
from nanobot.core.model import ModelRequest
from nanobot.core.persona import PLAIN, Persona
from nanobot.core.plan import NO_PLAN, TaskPlan
from nanobot.core.tool import ToolChoice, ToolSpec
from nanobot.core.turn import Turn

ANY = ToolChoice()
RESULT_SHARE = 0.25
_HINT_BYTES = 16
_LEAST_SHARE = 4
_ANSWER_SHARE = 4
_SUMMARY_SHARE = 2
"""A summary is shown only where it takes at most this part of the budget."""


def offered_tools(turn: Turn, own: tuple[ToolSpec, ...], persona: Persona = PLAIN) -> tuple[ToolSpec, ...]:
    """Return the tools that the model may call in this turn: those of the server's `own` that the persona
    has, and the client's. Where names are the same, the client's tool replaces the server's.

    Where the client requires a call of one of its tools, no others are offered.
    """
    own = persona.offered(own)
    choice = turn.tool_choice
    if not turn.tools or choice.mode == "none":
        return own
    if choice.mode == "required":
        return turn.tools
    taken = {tool.name for tool in turn.tools}
    return (*(tool for tool in own if tool.name not in taken), *turn.tools)


def further_tools(turn: Turn, own: tuple[ToolSpec, ...], persona: Persona = PLAIN) -> tuple[ToolSpec, ...]:
    """Return those of the server's `own` tools that the model may call in this turn where it needs them: to
    read on in files and results, to look for earlier messages.
    """
    own = persona.offered(own)
    if not own or not turn.tools:
        return own
    if turn.tool_choice.mode == "required":
        return ()
    taken = {tool.name for tool in turn.tools}
    return tuple(tool for tool in own if tool.name not in taken)


def tools_size(tools: tuple[ToolSpec, ...]) -> int:
    """Return an estimate of the tokens that it costs to offer `tools`."""
    return sum([tool.tokens for tool in tools]) if tools else 0


def history_budget(
    context_tokens: int, window_tokens: int, turn: Turn, tools_tokens: int, persona: Persona = PLAIN
) -> int:
    """Return how many tokens of history may be shown: what the window leaves after the prompt, the tools and
    the answer.

    A limit of the answer is a bound, no wish for so long an answer: it may make its share of the window
    smaller, not larger, since many clients send a high one unasked.
    """
    window = min(context_tokens, window_tokens)
    share = window // _ANSWER_SHARE
    answer = min(turn.sampling.max_output_tokens or share, share)
    fixed = fixed_tokens(turn, turn.tools, persona) + tools_tokens
    return max(window // _LEAST_SHARE, window - answer - fixed)


def longest_answer(context_tokens: int, shown_tokens: int) -> int:
    """Return an estimate of the longest answer that the model's window has room for, beside what is shown."""
    return max(context_tokens // _ANSWER_SHARE, context_tokens - shown_tokens)


def least_history_budget(context_tokens: int, window_tokens: int) -> int:
    """Return how many tokens of history may be shown in any case."""
    return min(context_tokens, window_tokens) // _LEAST_SHARE


def fixed_tokens(turn: Turn, tools: tuple[ToolSpec, ...], persona: Persona = PLAIN) -> int:
    """Return an estimate of the tokens of a request that are no history: the prompt and the tools."""
    size_bytes = prompt.system_bytes(turn.instructions, persona, turn.own_instructions)
    return size_bytes // 3 + tools_size(tools)


def build(
    turn: Turn,
    history: History,
    *,
    tools: tuple[ToolSpec, ...],
    file_tools: tuple[ToolSpec, ...] = (),
    history_tools: tuple[ToolSpec, ...] = (),
    found_tools: tuple[ToolSpec, ...] = (),
    looks_aside: bool = False,
    budget_tokens: int,
    now: float,
    result_share: float = RESULT_SHARE,
    persona: Persona = PLAIN,
    profile: str = "",
    hint: str = "",
    plan: TaskPlan = NO_PLAN,
    nudge: str = "",
    draft: str = "",
    form: str = "",
    lacking: frozenset[str] = frozenset(),
    window_tokens: int | None = None,
    audience: Audience | None = None,
    refused_by: str | None = None,
    passed_over: tuple[PassedOver, ...] = (),
    secret: bytes = b"",
    is_side_task: bool = False,
) -> ModelRequest:
    """Return the request that shows the newest part of `history` and asks for the next message. Files are cut
    to their share of the window, and results of tools, other than those that are the turn's input, to
    `result_share` of it; where one is, those of `file_tools` are offered beside `tools` that read on in it.
    `history_tools` are offered where messages are left out, or the turn `looks_aside`, into other sessions;
    `found_tools` at the end of all, so that what stands before them stays as it is.

    `profile`: what is remembered, as `context.profile` words it. `hint` is added to the notes at the end.
    `plan`: as the agent keeps it by now; the one that it had before the turn is in the state of `history`.
    `nudge` is a last message to the model that no transcript keeps, about its answer `draft` if there is one.
    `form` tells the model in words what form its answer must have. A side task gets no date and no plan.
    `lacking`, `window_tokens`, `audience`, `refused_by`, `passed_over` and `is_side_task` are as in
    `ModelRequest`. `secret`: what the names of sessions are made with that models get, at most 64 bytes.

    Raises:
        ContextOverflow: the newest message alone is over `budget_tokens`, or the history is and nothing of it
            may be left out.
    """
    # Asked once for the whole window: nearly all transcripts are.
    is_text = history.is_text or is_plain(history.messages)
    part = history.turn
    cut_tools: tuple[ToolSpec, ...] = ()
    if not is_text or (part is not None and part.is_shortened):
        history, cut_tools = _with_cut_parts(turn, history, tools, file_tools, budget_tokens, result_share)
    shown, context = _conversation(turn, history, budget_tokens, is_text=is_text)
    notes = hint
    if not is_side_task:
        notes = prompt.notes(now, is_first=_is_first(turn, history, shown), hint=hint)
        had = history.state.plan
        if had.is_open:
            # The same in all steps of the turn, whose question it stands at.
            notes = f"{notes}\n{plan_lines(had, is_new=False)}"
        if plan.is_open or (had.is_open and plan != had):
            shown = with_plan(shown, plan)
    return ModelRequest(
        system=prompt.system(
            "\n\n".join(filter(None, (turn.instructions, form))) if form else turn.instructions,
            persona,
            turn.own_instructions,
            profile,
        ),
        messages=_nudged(shown, draft, nudge) if nudge else shown,
        # Where there is nothing further, the same object in all turns: it is written into a request once.
        tools=tools + cut_tools + (history_tools if context is not None or looks_aside else ()) + found_tools,
        notes=notes,
        sampling=turn.sampling,
        session_hint=hint_of(turn.session_key, secret),
        tool_choice=turn.tool_choice if turn.tools else ANY,
        format=turn.format,
        is_side_task=is_side_task,
        labels=turn.labels,
        lacking=lacking,
        window_tokens=window_tokens,
        audience=audience,
        refused_by=refused_by,
        passed_over=passed_over,
        context=context,
    )


def _with_cut_parts(
    turn: Turn,
    history: History,
    tools: tuple[ToolSpec, ...],
    file_tools: tuple[ToolSpec, ...],
    budget_tokens: int,
    result_share: float,
) -> tuple[History, tuple[ToolSpec, ...]]:
    """Return `history` with its files and results cut to what the window has for them, and those of
    `file_tools` that read on in what was cut.
    """
    results_tools = tuple(tool for tool in file_tools if tool.name == READ_RESULT)
    files_tools = tuple(tool for tool in file_tools if tool.name != READ_RESULT)
    history, has_cut_file = fit_files(history, budget_tokens, can_read_on=bool(files_tools))
    has_cut_result = False
    if turn.may_cut:
        history, has_cut_result = fit_results(
            history,
            result_budget(budget_tokens, result_share),
            can_read_on=bool(results_tools),
            whole=[result for message in turn.input for result in message.tool_results],
        )
        has_cut_result |= history.turn is not None and history.turn.is_shortened
    further = not_among(tools, files_tools) if has_cut_file else ()
    return history, further + results_tools if has_cut_result else further


def _conversation(
    turn: Turn, history: History, budget_tokens: int, *, is_text: bool
) -> tuple[tuple[Message, ...], ContextView | None]:
    """Return the messages that are shown, and how much of the conversation they are; None: all of it.

    Raises:
        ContextOverflow: as of `build`.
    """
    summary = _shown_summary(history, budget_tokens)
    part = history.turn
    fitted = fit(
        history.messages,
        budget_tokens,
        skipped_tokens=history.skipped_tokens,
        ends=history.ends,
        saved_tokens=summary.saved_tokens if summary is not None else 0,
        asked=range(part.first, part.end) if part is not None else None,
        is_folded=part is not None and part.folded > 0,
    )
    context = _view(history, len(fitted), summary)
    if not turn.may_cut and context is not None:
        raise ContextOverflow(
            "the conversation is longer than the window leaves room for beside the prompt, the tools and the"
            " answer, and truncation is 'disabled': set it to 'auto' to leave out the oldest messages, "
            "or begin a new conversation"
        )
    shown = fitted if is_text else repair(fitted)
    if context is not None and (before := prompt.earlier(summary, context, budget_tokens)):
        shown = (user(before), *shown)
    return shown, context


def _is_first(turn: Turn, history: History, shown: tuple[Message, ...]) -> bool:
    """Return whether nothing was said before the turn.

    What leaves no trace is no part of the conversation: a title is asked for without its messages, too. And
    the assistant may have begun it.
    """
    roles = [message.role for message in shown]
    return turn.trace and not history.skipped_tokens and roles[:1] == ["user"] and roles.count("user") == 1


def not_among(tools: tuple[ToolSpec, ...], further: tuple[ToolSpec, ...]) -> tuple[ToolSpec, ...]:
    """Return those of `further` whose names `tools` lacks."""
    names = {tool.name for tool in tools}
    return tuple(tool for tool in further if tool.name not in names)


def hint_of(session_key: str, secret: bytes) -> str:
    """Return an opaque, stable name of the session, made with `secret`."""
    return hashlib.blake2b(session_key.encode(), digest_size=_HINT_BYTES, key=secret).hexdigest()


def _shown_summary(history: History, budget_tokens: int) -> Summary | None:
    """Return the summary, if the budget has room for it beside the conversation."""
    summary = history.summary
    return summary if summary is not None and summary.tokens <= budget_tokens // _SUMMARY_SHARE else None


def _view(history: History, shown: int, summary: Summary | None) -> ContextView | None:
    """Return how much of the conversation the newest `shown` messages are; None: all of it."""
    folded = history.turn.folded if history.turn is not None else 0
    if folded:
        # The summary of the turn's steps is none of the conversation's messages.
        shown -= 1
    unseen = history.skipped_messages + len(history.messages) - (1 if folded else 0) + folded - shown
    if not unseen:
        return None
    summarised = folded + (summary.messages if summary is not None else 0)
    return ContextView(shown, summarised, max(0, unseen - summarised))


def _nudged(shown: tuple[Message, ...], draft: str, nudge: str) -> tuple[Message, ...]:
    drafted = (Message("assistant", (Text(draft),), "stop"),) if draft else ()
    return (*shown, *drafted, user(nudge))


def with_added(history: History, messages: tuple[Message, ...]) -> History:
    """Return `history` with `messages` at its end."""
    ends = history.ends or ends_of(history.messages, history.skipped_tokens)
    before = ends[-1] if ends else history.skipped_tokens
    return msgspec.structs.replace(
        history,
        messages=history.messages + messages,
        ends=ends + ends_of(messages, before),
        is_text=history.is_text and is_plain(messages),
    )
