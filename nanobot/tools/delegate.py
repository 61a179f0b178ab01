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
from nanobot.core.sessions import DELEGATED_PREFIX
from nanobot.core.tool import Tool, ToolContext
from nanobot.core.turn import Admission, Answer, Delegation, Identity, Turn, TurnState
from nanobot.core.workspace import Entry

DELEGATE = "delegate"
_LONGEST_TASK = 20_000
_MOST_FILES = 10
_MOST_FILE_BYTES = 400_000
_SPARE_S = 30.0
_STOPPED = "the turn that delegated it is over"
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
    task: Annotated[str, msgspec.Meta(description="all it has to know: it sees nothing else")]
    files: Annotated[list[str], msgspec.Meta(description="text files to give along")] = []
    tools: Annotated[list[str] | None, msgspec.Meta(description="the only tools it may use")] = None


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
        self._left: asyncio.Queue[str] = asyncio.Queue()

    def turn_ended(self, turn: Turn, end: TurnEnded | None) -> None:
        """Note that a turn has ended; None: it was given back for the next start."""
        self._parts.pop(turn.id, None)
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

    async def answer(self, part: Turn, context: ToolContext) -> Answer:
        """Have the part done, and return what came of it: where it was begun before a restart, it is not
        begun again.

        Raises:
            ToolError: the turn has delegated enough, or it took too long.
        """
        parts = self._parts[context.turn_id]
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
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                answer = await self._turns.ended(part.id)
        except TimeoutError:
            self._left.put_nowait(part.id)
            raise ToolError(
                f"it was not done within {self.settings.timeout_s:g} s and is stopped: delegate less at once"
            ) from None
        self._open[context.turn_id].discard(part.id)
        return answer


def delegate(delegations: Delegations, files: ReadableFiles | None = None) -> Tool:
    """Return the tool that hands over a task with files, and waits for the answer."""
    settings = delegations.settings

    async def run(arguments: DelegateArguments, context: ToolContext) -> str:
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
        part = _part(Message("user", (Text(arguments.task), *given)), delegation, context)
        return _said(await delegations.answer(part, context))

    return Tool(
        DELEGATE,
        "Have a self-contained part of the work done by another agent.",
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
    )


def _part(asked: Message, delegation: Delegation, context: ToolContext) -> Turn:
    """Return the turn that does the part: the same for the same call, in a session of its own, whose key no
    request can name.
    """
    seed = f"{context.turn_id}\0{context.call_id}".encode("utf-8", "surrogatepass")
    name = hashlib.sha256(seed).hexdigest()
    return Turn(
        # The time in front stays: ids sort by it.
        f"{context.turn_id[:-16]}{name[:16]}",
        f"{DELEGATED_PREFIX}{name}",
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
