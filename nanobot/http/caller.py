"""Who sent a request, as the guard found it out."""

from starlette.types import Scope

from nanobot.access.caller import Caller


def caller_of(scope: Scope) -> Caller:
    """Return who sent the request."""
    caller: Caller = scope["caller"]
    return caller
