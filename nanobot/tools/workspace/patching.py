"""The tool that changes several files at once."""

import msgspec

from nanobot.core.errors import InvalidRequest, NoSuchFile, ToolError, WorkspaceError
from nanobot.core.tool import Tool, ToolContext, ToolOutput
from nanobot.core.workspace import Change, Read
from nanobot.tools.workspace.files import AgentFiles, link_note, refuse_untraced
from nanobot.tools.workspace.patch import FilePatch, parse_patch, patched
from nanobot.tools.workspace.text import EditableText

APPLY_PATCH = "apply_patch"
_MOST_LINKED = 8
_VERBS = {"add": "Added", "update": "Changed", "delete": "Deleted"}


class ApplyPatchArguments(msgspec.Struct, frozen=True):
    patch: str


def apply_patch(files: AgentFiles) -> Tool:
    """Return the tool that applies a patch to files of the workspace: all of it, or nothing."""

    async def run(arguments: ApplyPatchArguments, context: ToolContext) -> ToolOutput:
        told: list[str] = []

        def plan(read: Read) -> tuple[Change, ...]:
            patches = parse_patch(arguments.patch)
            told.extend(_told(patch) for patch in patches)
            return tuple(change for patch in patches for change in _changes(patch, read))

        try:
            refuse_untraced(context)
            written = await files.change(context.session_key, plan)
        except InvalidRequest as error:
            raise ToolError(error.message) from error
        paths = tuple(entry.path for entry in written)
        links = link_note(*paths[:_MOST_LINKED]) if paths else ""
        return ToolOutput("\n".join((*told, *([links] if links else ()))), files=paths)

    return Tool(
        APPLY_PATCH,
        "Change several files at once: '*** Begin Patch' format or a unified diff.",
        ApplyPatchArguments,
        run,
        timeout_s=60.0,
        concurrent=False,
        demanding=True,
        # Where it does not fit, it shows what is there.
        brings="file",
        group="files",
        of_session=True,
    )


def _told(patch: FilePatch) -> str:
    if patch.moved_to is not None:
        return f"Moved {patch.path} to {patch.moved_to}"
    return f"{_VERBS[patch.action]} {patch.path}"


def _changes(patch: FilePatch, read: Read) -> tuple[Change, ...]:
    """Return the changes that a patch makes to one file.

    Raises:
        WorkspaceError: it does not fit what is there.
    """
    if patch.action == "delete":
        return (Change(patch.path, None),)
    if patch.action == "add":
        _refuse_existing(patch.path, read)
        lines = patch.hunks[0].new
        return (Change(patch.path, "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")),)
    file = EditableText.of(read(patch.path), patch.path)
    content = file.encoded(patched(file.text, patch))
    if patch.moved_to is None or patch.moved_to == patch.path:
        return (Change(patch.path, content),)
    _refuse_existing(patch.moved_to, read)
    return (Change(patch.moved_to, content), Change(patch.path, None))


def _refuse_existing(path: str, read: Read) -> None:
    try:
        read(path)
    except NoSuchFile:
        return
    raise WorkspaceError(f"{path!r} is there already: update it, or delete it first; nothing was changed")
