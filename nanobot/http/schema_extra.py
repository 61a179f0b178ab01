"""What the OpenAPI document says of a field besides its type.

Bounds stand in the types (`msgspec.Meta`), which the decoder checks and the document shows. What only code
can check, such as one field that needs another, is written down at the field with `schema_extra`, so that the
document is as strict as the code.
"""

import msgspec

REQUIRED = "x-required"
"""Marks a field as required in the document, though it has a default: its absence is answered in OpenAI's
words.
"""


def schema_extra(*, required: bool = False, **schema: object) -> msgspec.Meta:
    """Return the annotation that adds `schema` (JSON schema keywords) to the document."""
    return msgspec.Meta(extra_json_schema={**schema, REQUIRED: True} if required else dict(schema))
