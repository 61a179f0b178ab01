"""What is set of a model behind an HTTP API, whatever its wire format."""

from collections.abc import Mapping

import msgspec

from nanobot.core.model import EVERYTHING, Ability
from nanobot.models.address import KeyHeader
from nanobot.models.http import Timeouts
from nanobot.models.transport import DIRECT, Transport

MAX_ANSWER_CHARS = 1_000_000


class RemoteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which model is asked, where, and within which bounds.

    `name`: the provider and the model, for people; `model`: what the provider calls it. `base_url`: as each
    wire format documents it. `api_key`: None: none is sent. `auth`: how the key is sent; None: as the wire
    format wants it. `context_tokens` and `abilities`: what the model has, until a refusal teaches that it has
    less. `max_retries`: how often a request is sent again that failed before anything of its answer was
    yielded. `max_answer_chars`: text, thinking and the arguments of calls together. `transport`: what goes
    with each request besides. `socket_path`: connect to this Unix socket; `base_url` then only says the path.
    `extra_body`: further fields of each request.
    """

    name: str
    model: str
    base_url: str
    api_key: str | None
    context_tokens: int
    auth: KeyHeader | None = None
    abilities: frozenset[Ability] = EVERYTHING
    timeouts: Timeouts = Timeouts()
    max_retries: int = 2
    max_answer_chars: int = MAX_ANSWER_CHARS
    transport: Transport = DIRECT
    socket_path: str | None = None
    extra_body: Mapping[str, object] = {}
