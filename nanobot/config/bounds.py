"""The bounds that several settings share."""

from typing import Annotated

import msgspec

LONGEST_S = 1_000_000_000
Positive = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
AtLeast1 = Annotated[int, msgspec.Meta(ge=1)]
