"""The tool calls of one turn, as the server keeps them: what a model wrote, under ids that are unique."""

from nanobot.core.ids import call_id
from nanobot.core.message import ToolCall, freeform_arguments
from nanobot.core.turn import Turn


class TurnCalls:
    """Makes calls of the model the turn's own.

    `client_tools` are the names of tools that the client runs; `taken` holds the ids of calls that are taken,
    and grows.
    """

    def __init__(self, turn: Turn, client_tools: frozenset[str], taken: set[str]) -> None:
        self._turn = turn
        self._client_tools = client_tools
        self._taken = taken
        self._numbers: dict[str, int] = {}

    def own(self, call: ToolCall) -> ToolCall:
        """Return the call with an id that no other call of the turn has, marked where the client runs it."""
        declared = next((tool for tool in self._turn.declared if tool.function == call.name), None)
        is_freeform = declared is not None and declared.is_freeform
        for_client = call.name in self._client_tools
        return ToolCall(
            self._own_id(call.id, for_client=for_client),
            call.name,
            # As it will come back from the client, which has only the text.
            freeform_arguments(call.freeform_text) if is_freeform else call.arguments,
            for_client,
            call.provider_state,
            declared,
        )

    def _own_id(self, id_: str, *, for_client: bool) -> str:
        """Return an id that is unique in this turn: some providers count from 0 in each message, or give all
        calls one id.

        Clients get ids that none of them rewrites, and that are others in each turn.
        """
        own = call_id(id_) if for_client else id_
        if own in self._taken or own != id_:
            # Numbers that are taken are not tried again.
            number = self._numbers.get(id_, 0)
            while own in self._taken or number == self._numbers.get(id_, 0):
                number += 1
                own = call_id(f"{self._turn.id} {id_} {number}") if for_client else f"{id_}-{number}"
            self._numbers[id_] = number
        self._taken.add(own)
        return own
