"""The result of one check of `nanobot doctor`."""

from typing import Literal

import msgspec

Status = Literal["ok", "warn", "fail"]


class CheckResult(msgspec.Struct, frozen=True):
    """What a check found out. `remedy`: what to do about it, where the status is not ok."""

    check: str
    status: Status
    text: str
    remedy: str = ""
