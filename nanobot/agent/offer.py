"""Which of the server's tools a model is offered from the beginning, and which only once it has looked for
them.
"""

from collections.abc import Iterable, Mapping

import msgspec

from nanobot.agent.toolset import Toolset
from nanobot.context.build import not_among, tools_size
from nanobot.core.model import Ability
from nanobot.core.persona import Persona
from nanobot.core.tool import FIND_TOOLS, NONE_DEFERRED, DeferredTools, ToolSpec

_MOST_GROUPS = 12
_MOST_KEPT = 256
_FOUND_SHARE = 8
"""Tools that were found may take this part of the window."""


class Offer(msgspec.Struct, frozen=True):
    """The server's tools that a model is offered: `always`, and those `deferred` that it has found. `tokens`:
    what the former take of the prompt, with those that read on in what was cut.
    """

    always: tuple[ToolSpec, ...]
    tokens: int
    deferred: Mapping[str, ToolSpec] = {}
    most_found_tokens: int = 0

    def found(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """Return the deferred tools of these names."""
        if not self.deferred:
            return ()
        return tuple(self.deferred[name] for name in names if name in self.deferred)

    def left(self, names: Iterable[str]) -> DeferredTools:
        """Return what a search for tools may find, where those of these `names` are found already."""
        if not self.deferred:
            return NONE_DEFERRED
        return DeferredTools(tuple(self.deferred.values()), tuple(self.found(names)), self.most_found_tokens)


class Offers:
    """Decides what is offered: all of a toolset where that takes at most `most_tokens` of the prompt; else
    what is deferrable only once it is found. `window_tokens`: as in `AgentSettings`.
    """

    def __init__(self, toolset: Toolset, *, most_tokens: int, window_tokens: int) -> None:
        self._toolset = toolset
        self._most_tokens = most_tokens
        self._most_found_tokens = window_tokens // _FOUND_SHARE
        self._offers: dict[tuple[frozenset[str] | None, bool, bool, bool, frozenset[str]], Offer] = {}
        self._version = toolset.version

    def of(
        self,
        persona: Persona,
        abilities: frozenset[Ability],
        session_key: str = "",
        *,
        leaves_trace: bool = True,
    ) -> Offer:
        """Return what the persona offers in the session to a model with these abilities; without a session,
        what it offers in all.
        """
        toolset = self._toolset
        if self._version != toolset.version:
            self._version = toolset.version
            self._offers.clear()
        here = toolset.of_use_in(session_key)
        asked = persona.tools, "reading_on" in abilities, "noting" in abilities, leaves_trace, here
        offer = self._offers.get(asked)
        if offer is None:
            if len(self._offers) >= _MOST_KEPT:
                # Models choose among the tools for what they delegate.
                self._offers.clear()
            own = toolset.specs_for(abilities, session_key=session_key, leaves_trace=leaves_trace)
            offer = self._offers[asked] = self._offer(persona.offered(own), persona)
        return offer

    def _offer(self, own: tuple[ToolSpec, ...], persona: Persona) -> Offer:
        finder = next((tool for tool in own if tool.name == FIND_TOOLS), None)
        always = tuple(tool for tool in own if tool is not finder)
        deferred: dict[str, ToolSpec] = {}
        # Without the tool that finds them they would be out of reach.
        if finder is not None and tools_size(always) > self._most_tokens:
            deferrable = self._toolset.deferrable
            deferred = {tool.name: tool for tool in always if tool.name in deferrable}
            if deferred:
                finder = self._naming_groups(finder, deferred)
                always = (*(tool for tool in always if tool.name not in deferred), finder)
        reading_on = not_among(always, self._toolset.file_specs + self._toolset.history_specs)
        tokens = tools_size(always + persona.offered(reading_on))
        return Offer(always, tokens, deferred, self._most_found_tokens if deferred else 0)

    def _naming_groups(self, finder: ToolSpec, deferred: Iterable[str]) -> ToolSpec:
        """Return the tool that finds tools, with the groups of the deferred ones, which change less than the
        tools in them.
        """
        groups = self._toolset.groups(deferred)
        if not groups:
            return finder
        shown = f"{', '.join(groups[:_MOST_GROUPS])}{', …' if len(groups) > _MOST_GROUPS else ''}"
        return msgspec.structs.replace(finder, description=f"{finder.description} There are: {shown}.")
