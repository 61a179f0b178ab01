"""The tools of an MCP server, as the agent has them."""

from collections.abc import Callable
from typing import Any

import msgspec

from nanobot.core.errors import ToolError
from nanobot.core.ids import Randomness
from nanobot.core.message import Image
from nanobot.core.tool import Decision, Schema, Tool, ToolContext, ToolOutput
from nanobot.core.unseen import without_unseen
from nanobot.tools.mcp.calls import ServerCalls
from nanobot.tools.mcp.elicitation import AskedSoFar, so_far
from nanobot.tools.mcp.messages import (
    Answered,
    CallTool,
    GetPrompt,
    InputAnswer,
    InputRequired,
    ListedPrompt,
    ListedTool,
    ListResources,
    Order,
    ReadResource,
    ServerListing,
)
from nanobot.tools.mcp.names import group_of, tool_names
from nanobot.tools.mcp.settings import McpSettings
from nanobot.tools.web.untrusted import MEANING, marked

LIST_RESOURCES, READ_RESOURCE, GET_PROMPT = "list_resources", "read_resource", "get_prompt"
_MAX_CHARS = 390_000
"""Of a result; a little less than what is kept of any."""
_MAX_ERROR_CHARS = 4_000
_MAX_PROMPTS_CHARS = 1_500
_SPARE_S = 5.0
"""The calls keep to their time limit themselves, and say more than that they were stopped."""

_Arguments = dict[str, Any]
_NO_ARGUMENTS: Schema = {"type": "object", "properties": {}}
_URI: Schema = {"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]}
_PROMPT: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "arguments": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name"],
}


class ServerTools:
    """Makes the tools of one server out of what it offers."""

    def __init__(self, settings: McpSettings, calls: ServerCalls, randomness: Randomness) -> None:
        self._settings = settings
        self._calls = calls
        self._randomness = randomness

    def of(self, listing: ServerListing) -> tuple[Tool, ...]:
        """Return the tools that the settings let be used, those for resources and prompts included."""
        settings = self._settings
        tools = {tool.name: tool for tool in listing.tools if settings.offers(tool.name)}
        names = tool_names(settings.name, tools)
        made = [self._tool(name, tools[each]) for name, each in names.items()]
        if listing.has_resources:
            made += [self._list_resources(), self._read_resource()]
        if listing.prompts:
            made.append(self._get_prompt(listing.prompts))
        # A server may have a tool of that name; it takes precedence over ours.
        return tuple({tool.name: tool for tool in reversed(made)}.values())[::-1]

    def _tool(self, name: str, tool: ListedTool) -> Tool:
        def order(arguments: _Arguments, id_: int, instance: str) -> CallTool:
            encoded = msgspec.Raw(msgspec.json.encode(arguments))
            return CallTool(id_, self._settings.name, instance, tool.name, encoded)

        is_trusted = self._settings.trust_annotations
        return self._made(
            name,
            tool.description or without_unseen(tool.name),
            tool.parameters,
            order,
            reads_only=is_trusted and tool.reads_only,
            is_repeatable=is_trusted and tool.is_idempotent,
        )

    def _list_resources(self) -> Tool:
        def order(arguments: _Arguments, id_: int, instance: str) -> Order:
            return ListResources(id_, self._settings.name, instance)

        return self._reading(
            LIST_RESOURCES, f"List the resources of {self._settings.name}.", _NO_ARGUMENTS, order
        )

    def _read_resource(self) -> Tool:
        def order(arguments: _Arguments, id_: int, instance: str) -> Order:
            return ReadResource(id_, self._settings.name, instance, _text(arguments, "uri"))

        return self._reading(READ_RESOURCE, f"Read a resource of {self._settings.name}.", _URI, order)

    def _get_prompt(self, prompts: tuple[ListedPrompt, ...]) -> Tool:
        def order(arguments: _Arguments, id_: int, instance: str) -> Order:
            given = arguments.get("arguments") or {}
            if not isinstance(given, dict):
                raise ToolError("arguments must be an object of texts")
            texts = {
                str(name): value if isinstance(value, str) else str(value) for name, value in given.items()
            }
            return GetPrompt(id_, self._settings.name, instance, _text(arguments, "name"), texts)

        listed = "\n".join(
            f"{prompt.name}({', '.join(prompt.arguments)}): {' '.join(prompt.description.split())}"
            for prompt in prompts
        )
        if len(listed) > _MAX_PROMPTS_CHARS:
            listed = listed[:_MAX_PROMPTS_CHARS] + "…"
        return self._reading(
            GET_PROMPT, f"Get a prompt of {self._settings.name} (* is needed):\n{listed}", _PROMPT, order
        )

    def _reading(
        self, name: str, description: str, schema: Schema, order: Callable[[_Arguments, int, str], Order]
    ) -> Tool:
        parameters = msgspec.Raw(msgspec.json.encode(schema))
        full = f"{group_of(self._settings.name)}__{name}"
        return self._made(full, description, parameters, order, reads_only=True, is_repeatable=True)

    def _made(
        self,
        name: str,
        description: str,
        parameters: msgspec.Raw,
        order: Callable[[_Arguments, int, str], Order],
        *,
        reads_only: bool,
        is_repeatable: bool,
    ) -> Tool:
        async def run(arguments: _Arguments, context: ToolContext) -> ToolOutput:
            answers: dict[str, InputAnswer] = {}
            state: str | None = None
            if context.answered is not None:
                known = so_far(context.answered)
                if known.asks:
                    return self._asking(known)
                answers, state = known.answers, known.state

            def with_answers(id_: int, instance: str) -> Order:
                made = order(arguments, id_, instance)
                if isinstance(made, CallTool) and (answers or state):
                    return msgspec.structs.replace(made, answers=answers, state=state)
                return made

            answered = await self._calls.ask(context, with_answers, is_repeatable=is_repeatable)
            if isinstance(answered, InputRequired):
                return self._asking(AskedSoFar.of(answered, answers), answered.so_far)
            return self._shown(answered, context)

        settings = self._settings
        by_default: Decision = "allow" if reads_only else "ask"
        return Tool(
            name,
            description,
            dict[str, Any],
            run,
            parameters=parameters,
            timeout_s=settings.timeout_s + _SPARE_S,
            repeatable=is_repeatable,
            concurrent=reads_only,
            demanding=True,
            lasting=not reads_only,
            deferrable=True,
            group=group_of(settings.name),
            by_default=by_default,
            sessions=settings.sessions,
        )

    def _asking(self, asked: AskedSoFar, note: str = "") -> ToolOutput:
        """Return the question that a person has to answer first.

        Raises:
            ToolError: it must not be asked, or cannot be.
        """
        try:
            question = asked.question(self._settings.name, note)
        except ValueError as error:
            raise ToolError(str(error)) from error
        text = "the server asks the user something before it goes on, and the call was not completed."
        return ToolOutput(text, question=question)

    def _shown(self, answered: Answered, context: ToolContext) -> ToolOutput:
        """Return what the model is shown: the server's words between marks.

        Raises:
            ToolError: the server says that the call failed; it has its words, too.
        """
        if answered.is_error:
            text = answered.text or "(it does not say why)"
            raise ToolError(
                f"the call failed. {MEANING}\n{marked(text[:_MAX_ERROR_CHARS], self._randomness)}"
            )
        text, left_out = answered.text, ""
        if len(text) > _MAX_CHARS:
            left_out = f"\n(cut: {len(text) - _MAX_CHARS:,} of {len(text):,} characters are left out)"
            text = text[:_MAX_CHARS]
        pictures = answered.pictures
        if pictures and not context.sees_images:
            left_out += "\n(The pictures are not shown: this model sees none.)"
            pictures = ()
        images = tuple(Image(f"data:{each.mime};base64,{each.data}") for each in pictures)
        shown = marked(text, self._randomness) if text else "(it answered nothing)"
        return ToolOutput(f"{MEANING}\n{shown}{left_out}" if text else shown + left_out, images)


def _text(arguments: _Arguments, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value:
        raise ToolError(f"{name} is missing: it must be a text")
    return value
