"""What `nanobot doctor` finds."""

from typing import Literal

import msgspec

Status = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What a check found. `remedy`: what to do where it is not ok."""

    check: str
    status: Status
    text: str
    remedy: str = ""
