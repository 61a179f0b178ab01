"""The tool by which a turn has a part of its work done by another, in a session of its own."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec

from nanobot.core.errors import NanobotError, NoSuchFile, StoreError, ToolError, TurnNotFound, WorkspaceError
from nanobot.core.event import TurnEnded
from nanobot.core.message import File, Message, Text, reply_text
from nanobot.core.parts import DELEGATE, digest_in, part_digest, part_name, part_turn_id
from nanobot.core.session_keys import DELEGATED_PREFIX
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.core.turn import Admission, Answer, Delegation, Identity, Turn, TurnState
from nanobot.core.workspace import Entry

_LONGEST_TASK = 20_000
_MOST_FILES = 10
_MOST_FILE_BYTES = 400_000
_SPARE_S = 30.0
_STOPPED = "the turn that delegated it is over"
_NO_PART = "this turn has begun no such part: give its name as the call that began it has told it"
_ID_DIGITS = 16
_BEGUN = (
    "Begun as {name}. Go on with what does not need its answer. You get that with `answer_of`; what you have"
    " not asked for when you want to end is waited for then."
)
_INSTRUCTIONS = (
    "You do a part of a larger task, which another agent has given you. You know nothing of the rest, and"
    " nobody reads what you do on the way. Do it, then answer once, with all that was asked for and nothing"
    " else. If you cannot do it, say what is missing."
)
_log = logging.getLogger(__name__)


class DelegationSettings(msgspec.Struct, frozen=True):
    """How much may be delegated: so many parts a turn, each with a budget of steps, tokens and seconds."""

    most: int = 8
    max_steps: int = 25
    max_tokens: int = 200_000
    timeout_s: float = 600.0


class DelegateArguments(msgspec.Struct, frozen=True):
    task: Annotated[str, msgspec.Meta(description="all it has to know: it sees nothing else")] = ""
    files: Annotated[list[str], msgspec.Meta(description="text files to give along")] = []
    tools: Annotated[list[str] | None, msgspec.Meta(description="the only tools it may use")] = None
    wait: Annotated[bool, msgspec.Meta(description="false: go on meanwhile")] = True
    answer_of: Annotated[str, msgspec.Meta(description="instead of a task: a part begun with wait false")] = (
        ""
    )


class PartAdmission(Protocol):
    """Admits turns that do a part of another's work."""

    async def admit(self, turn: Turn, identity: Identity) -> Admission: ...


class DelegatedTurns(Protocol):
    """Where turns are waited for."""

    async def turn(self, turn_id: str) -> TurnState: ...

    async def ended(self, turn_id: str) -> Answer: ...

    async def cancel(self, turn_id: str, why: str) -> bool: ...


class ReadableFiles(Protocol):
    """The files of sessions."""

    async def read(self, session_key: str, path: str) -> tuple[Entry, bytes]: ...


class Delegations:
    """The parts of work that are being done for running turns; those of a turn that has ended are stopped
    while `run` is awaited.
    """

    def __init__(self, gate: PartAdmission, turns: DelegatedTurns, settings: DelegationSettings) -> None:
        self._gate = gate
        self._turns = turns
        self.settings = settings
        self._parts: defaultdict[str, set[str]] = defaultdict(set)
        self._open: defaultdict[str, set[str]] = defaultdict(set)
        self._uncounted: dict[str, list[str]] = {}
        """Of turns that go on after a restart, the parts that their calls may have begun."""
        self._left: asyncio.Queue[str] = asyncio.Queue()

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        """Note that a turn has ended; None: it was given back for the next start."""
        self._parts.pop(turn.id, None)
        self._uncounted.pop(turn.id, None)
        # What was given back goes on with its parts.
        for part in self._open.pop(turn.id, ()) if end is not None else ():
            self._left.put_nowait(part)

    async def run(self) -> None:
        """Stop what nobody waits for any more, until cancelled."""
        while True:
            part = await self._left.get()
            try:
                await self._turns.cancel(part, _STOPPED)
            except NanobotError as error:
                _log.warning("turn %s goes on, though nobody waits for it: %s", part, error.message)

    def take_up(self, turn_id: str, names: Sequence[str], call_ids: Sequence[str]) -> None:
        """Note that a turn goes on which had begun these parts before a restart, and made these calls."""
        self._uncounted[turn_id] = [part_turn_id(turn_id, part_digest(turn_id, each)) for each in call_ids]
        for name in names:
            if (digest := digest_in(name)) is not None:
                part = part_turn_id(turn_id, digest)
                self._parts[turn_id].add(part)
                self._open[turn_id].add(part)

    async def begin(self, part: Turn, context: ToolContext) -> None:
        """Let the part be done: where it was begun before a restart, it is not begun again.

        Raises:
            ToolError: the turn has delegated enough, or it may not.
        """
        parts = self._parts[context.turn_id]
        await self._count(context.turn_id, parts)
        if part.id not in parts and len(parts) >= self.settings.most:
            raise ToolError(
                f"this turn has delegated {len(parts)} parts of its work, {self.settings.most} may be: do the"
                " rest yourself"
            )
        parts.add(part.id)
        self._open[context.turn_id].add(part.id)
        try:
            await self._turns.turn(part.id)
        except TurnNotFound:
            try:
                await self._gate.admit(part, Identity(hashlib.sha256(part.id.encode()).digest()))
            except StoreError:
                raise
            except NanobotError as error:
                raise ToolError(f"it was not begun: {error.message}") from error

    async def _count(self, turn_id: str, parts: set[str]) -> None:
        """Add the parts that the turn has begun before a restart. Of its calls, some were refused."""
        for part in self._uncounted.get(turn_id, ()):
            try:
                await self._turns.turn(part)
            except TurnNotFound:
                continue
            parts.add(part)
        # Only now: another call of the same step counts, too.
        self._uncounted.pop(turn_id, None)

    async def has_ended(self, part_id: str) -> bool:
        """Return whether the part is done, or has failed.

        Raises:
            ToolError: there is none with that id.
        """
        return (await self._state(part_id)).end is not None

    async def answer(self, part_id: str, context: ToolContext) -> Answer:
        """Wait for what comes of a part that was begun.

        Raises:
            ToolError: it took too long, or there is none with that id.
        """
        await self._state(part_id)
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                answer = await self._turns.ended(part_id)
        except TimeoutError:
            self._left.put_nowait(part_id)
            raise ToolError(
                f"it was not done within {self.settings.timeout_s:g} s and is stopped: delegate less at once"
            ) from None
        self._open[context.turn_id].discard(part_id)
        return answer

    async def _state(self, part_id: str) -> TurnState:
        try:
            state = await self._turns.turn(part_id)
        except TurnNotFound:
            raise ToolError(_NO_PART) from None
        # Not any turn whose id a model has found somewhere.
        if not state.session_key.startswith(f"{DELEGATED_PREFIX}{part_id[-_ID_DIGITS:]}"):
            raise ToolError(_NO_PART)
        return state


def delegate(delegations: Delegations, files: ReadableFiles | None = None) -> Tool:
    """Return the tool that hands over a task with files, and waits for the answer, or brings it later."""
    settings = delegations.settings

    async def run(arguments: DelegateArguments, context: ToolContext) -> str | ToolOutput:
        if arguments.answer_of and not arguments.task:
            return await _later(delegations, arguments, context)
        if not arguments.task.strip() or len(arguments.task) > _LONGEST_TASK:
            raise ToolError(f"the task has {len(arguments.task)} characters: say it in 1 to {_LONGEST_TASK}")
        given = await _given(files, arguments.files, context.session_key)
        delegation = Delegation(
            context.session_key,
            context.turn_id,
            tuple(arguments.tools) if arguments.tools is not None else None,
            settings.max_steps,
            settings.max_tokens,
            # So that it can still say what it has reached.
            settings.timeout_s * 2 / 3,
        )
        digest = part_digest(context.turn_id, context.call_id)
        part = _part(Message("user", (Text(arguments.task), *given)), delegation, context, digest)
        await delegations.begin(part, context)
        if arguments.wait:
            return _said(await delegations.answer(part.id, context))
        name = part_name(digest)
        return ToolOutput(_BEGUN.format(name=name), begun=(name,))

    return Tool(
        DELEGATE,
        "Have a self-contained part of the work done by another agent, or get the answer of one that was"
        " begun without waiting.",
        DelegateArguments,
        run,
        timeout_s=settings.timeout_s + _SPARE_S,
        # The other turn is found again by its id.
        repeatable=True,
        demanding=True,
        lasting=True,
        group="agents",
        of_session=True,
        deferrable=True,
        take_up=delegations.take_up,
    )


async def _later(
    delegations: Delegations, arguments: DelegateArguments, context: ToolContext
) -> str | ToolOutput:
    """Return the answer of a part that was begun without waiting, or that it is not there yet.

    Raises:
        ToolError: there is no such part.
    """
    name = arguments.answer_of
    digest = digest_in(name)
    if digest is None:
        raise ToolError(_NO_PART)
    part_id = part_turn_id(context.turn_id, digest)
    has_ended = await delegations.has_ended(part_id)
    if not arguments.wait and not has_ended:
        return f"{name} is not done yet."
    try:
        return ToolOutput(_said(await delegations.answer(part_id, context)), answered=(name,))
    except ToolError as error:
        # It is answered all the same: nothing more comes, also where it took too long.
        return ToolOutput(f"Error: {error.message}", answered=(name,))


def _part(asked: Message, delegation: Delegation, context: ToolContext, digest: str) -> Turn:
    """Return the turn that does the part: the same for the same call, in a session of its own, whose key no
    request can name.
    """
    return Turn(
        part_turn_id(context.turn_id, digest),
        f"{DELEGATED_PREFIX}{digest}",
        (asked,),
        context.entry,
        model=context.model,
        instructions=_INSTRUCTIONS,
        key_id=context.key_id,
        grace_s=-1,
        delegation=delegation,
    )


async def _given(files: ReadableFiles | None, paths: Sequence[str], session_key: str) -> list[File]:
    """Return the files of the workspace that are given along.

    Raises:
        ToolError: one cannot be.
    """
    if not paths:
        return []
    if files is None:
        raise ToolError("there are no files here to give along: put what is needed into the task")
    if len(paths) > _MOST_FILES:
        raise ToolError(f"{len(paths)} files: at most {_MOST_FILES} are given along")
    given: list[File] = []
    size = 0
    for path in paths:
        try:
            entry, content = await files.read(session_key, path)
        except StoreError:
            raise
        except (NoSuchFile, WorkspaceError) as error:
            raise ToolError(error.message) from error
        size += len(content)
        if size > _MOST_FILE_BYTES:
            raise ToolError(f"the files have more than {_MOST_FILE_BYTES} bytes: give fewer along")
        try:
            given.append(File(entry.path, content.decode()))
        except UnicodeDecodeError:
            raise ToolError(
                f"{entry.path} is no text in UTF-8: read it yourself, and put what is needed into the task"
            ) from None
    return given


def _said(answer: Answer) -> str:
    """Return what the other has answered, or why there is nothing."""
    text = reply_text(answer.messages).strip()
    end = answer.end
    if end.outcome == "done":
        return text or "(It answered nothing.)"
    why = end.error.message if end.error is not None else end.outcome
    raise ToolError(f"it was not done: {why}{f'. It had said: {text}' if text else ''}")
