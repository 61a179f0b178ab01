"""The form that an answer must have, and what checks it."""

from typing import Protocol

import msgspec


class InvalidOutput(Exception):
    """The text does not have the form that was asked for; the reason is written for the model."""


class OutputSchemas(Protocol):
    """Checks JSON schemas that strangers send, and answers against them, at a bounded cost.

    `owner` is for whom it is done, such as a session key; owners take turns.
    """

    async def check(self, schema: msgspec.Raw, param: str, owner: str) -> None:
        """Return where `schema` can be used.

        Raises:
            InvalidRequest: it is too large, is no JSON schema, or costs too much; `param` names the field.
        """
        ...

    async def validate(self, schema: msgspec.Raw, text: str, owner: str) -> None:
        """Return where the JSON `text` fits the schema.

        Raises:
            InvalidOutput: it does not, or it costs too much to find out.
        """
        ...
