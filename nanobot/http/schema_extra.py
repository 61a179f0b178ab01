"""What the document of the API tells of a field besides its type.

Some bounds are checked by code, not by the decoder, for the sake of the words with which it refuses. `schema_extra`
writes them down at the field itself, so that the document is as strict as the check.
"""

import msgspec

REQUIRED = "x-required"
"""Marks a field that has a default only so that its absence can be answered in OpenAI's words; the document
calls it required.
"""


def schema_extra(*, required: bool = False, **schema: object) -> msgspec.Meta:
    """Return the annotation that adds `schema` (JSON schema keywords) to the document."""
    return msgspec.Meta(extra_json_schema={**schema, REQUIRED: True} if required else dict(schema))
