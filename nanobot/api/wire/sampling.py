"""The types of the fields that say how the model writes, with their bounds.

Source: the OpenAI API reference.
"""

from typing import Annotated, Literal

from msgspec import Meta

from nanobot.http.schema_extra import schema_extra

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
MaxTokens = Annotated[int, Meta(ge=1, le=2**31)]
StopText = Annotated[str, Meta(max_length=1_000)]
# Providers invent new ones: what a model does not know is left out when it says so.
Effort = Annotated[
    str,
    Meta(min_length=1, max_length=32),
    schema_extra(examples=["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
]
Verbosity = Literal["low", "medium", "high"]
