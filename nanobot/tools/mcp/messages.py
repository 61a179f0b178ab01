"""What the server and the process of the MCP connections send each other: length-framed JSON."""

from typing import TypeVar

import msgspec

_LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The longest message of an MCP server that is read."""
MAX_MESSAGE_ENTRIES = 100_000
"""How many members of objects and elements of arrays it may have: to decode millions takes seconds, in which
no other server is heard, and most of a gigabyte.
"""


class StdioServer(msgspec.Struct, frozen=True, tag="stdio"):
    """An MCP server that is started as a command. `env`: added to a small environment without secrets."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None


class OAuthClient(msgspec.Struct, frozen=True):
    """What an authorization server knows the client as, where it does not register itself. `is_machine`: it
    gets tokens with its own secret, and no person logs in. `sends_secret_in_body`: not in a header. `issuer`:
    the authorization server that the secret is for. `client_metadata_url`: a page that describes the client,
    which is its id where the authorization server takes that.
    """

    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None
    issuer: str | None = None
    is_machine: bool = False
    sends_secret_in_body: bool = False
    client_metadata_url: str | None = None


class HttpServer(msgspec.Struct, frozen=True, tag="http"):
    """An MCP server at a URL, by streamable HTTP. `tokens`: the file with its login; None: there is none."""

    url: str
    headers: dict[str, str] = {}
    tokens: str | None = None
    oauth: OAuthClient | None = None


class ServerEntry(msgspec.Struct, frozen=True):
    """A server, and how it is connected to. `is_kept`: whether one connection stays for all who call it;
    otherwise it is closed once its tools are known, and each instance has one of its own. `is_old`: the
    protocol is spoken as it was until 2025-11-25, also where the server knows a newer one.
    """

    name: str
    transport: StdioServer | HttpServer
    connect_timeout_s: float = 30.0
    is_kept: bool = True
    is_old: bool = False


# What a server offers ------------------------------------------------------------------------------


class ListedTool(msgspec.Struct, frozen=True):
    """A tool as its server describes it. `parameters`: a JSON schema of an object. `reads_only`,
    `is_idempotent`: what the server says of it, which nobody has checked.
    """

    name: str
    description: str
    parameters: msgspec.Raw
    reads_only: bool = False
    is_idempotent: bool = False


class ListedPrompt(msgspec.Struct, frozen=True):
    """A prompt that a server offers, with the names of its arguments; those that it needs end with a `*`."""

    name: str
    description: str
    arguments: tuple[str, ...] = ()


class ServerListing(msgspec.Struct, frozen=True):
    """What a server offers. `protocol`: the version of MCP that is spoken with it. `left_out`: tools that are
    not offered, and why.
    """

    protocol: str
    title: str
    tools: tuple[ListedTool, ...] = ()
    prompts: tuple[ListedPrompt, ...] = ()
    has_resources: bool = False
    left_out: tuple[str, ...] = ()


class InputAnswer(msgspec.Struct, frozen=True):
    """What a person answered: the fields that were asked for. Who refused is not passed on."""

    content: dict[str, str | int | float | bool | tuple[str, ...]] | None = None


# To the process ------------------------------------------------------------------------------------


class Connect(msgspec.Struct, frozen=True, tag="connect"):
    """The first message: connect to these servers, and stay connected."""

    entries: tuple[ServerEntry, ...]


class CallTool(msgspec.Struct, frozen=True, tag="call"):
    """Call a tool. `instance`: whose connection; empty: that of all. `answers`: to what the server asked when
    the call was made before, each by the key of what was asked; `state`: what it wants back with them.
    """

    id: int
    server: str
    instance: str
    tool: str
    arguments: msgspec.Raw
    answers: dict[str, InputAnswer] = {}
    state: str | None = None


class ReadResource(msgspec.Struct, frozen=True, tag="read"):
    id: int
    server: str
    instance: str
    uri: str


class ListResources(msgspec.Struct, frozen=True, tag="resources"):
    id: int
    server: str
    instance: str


class GetPrompt(msgspec.Struct, frozen=True, tag="prompt"):
    id: int
    server: str
    instance: str
    prompt: str
    arguments: dict[str, str] = {}


class CancelOrder(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody waits for the answer to `id` any more."""

    id: int


Order = CallTool | ReadResource | ListResources | GetPrompt
ToProcess = Connect | Order | CancelOrder

# From the process ----------------------------------------------------------------------------------


class ResultPicture(msgspec.Struct, frozen=True):
    """An image: `data` is base64."""

    mime: str
    data: str


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """What the server answered to `id`. `is_error`: the server says that the call failed."""

    id: int
    text: str
    pictures: tuple[ResultPicture, ...] = ()
    is_error: bool = False


class InputRequest(msgspec.Struct, frozen=True):
    """Something that a server asks. `key`: by which it knows the answer. `params`: of
    `elicitation/create`.
    """

    key: str
    params: msgspec.Raw


class InputRequired(msgspec.Struct, frozen=True, tag="asks"):
    """The call `id` goes on once this is answered: by making it again with the answers, and with `state`.
    `keeps_answers`: also with those that were given before, as the server asks for all of them each time.
    `so_far`: what it answered without.
    """

    id: int
    asks: tuple[InputRequest, ...]
    state: str | None = None
    keeps_answers: bool = False
    so_far: str = ""


class NotDone(msgspec.Struct, frozen=True, tag="not done"):
    """There is no answer to `id`. `may_have_run`: the server had been asked, and what it did is unknown.
    `again`: it had not been, and can be asked at once. `needs_login`: a person has to log in at the server.
    `status`: with which it answered, where that is all that there is.
    """

    id: int
    why: str
    may_have_run: bool = False
    again: bool = False
    needs_login: bool = False
    status: int | None = None


class ServerConnected(msgspec.Struct, frozen=True, tag="connected"):
    """The server is connected to, or offers something else than before. `after_s`: how long that took."""

    server: str
    listing: ServerListing
    after_s: float = 0.0


class ServerLost(msgspec.Struct, frozen=True, tag="disconnected"):
    """The server could not be connected to, or its connection broke; it is tried again after a pause."""

    server: str
    why: str


Event = ServerConnected | ServerLost
Answer = Answered | NotDone | InputRequired
FromProcess = Answered | NotDone | InputRequired | ServerConnected | ServerLost
_Message = TypeVar("_Message")


def framed(message: msgspec.Struct) -> bytes:
    """Return the message as it is sent."""
    content = msgspec.json.encode(message)
    return len(content).to_bytes(_LENGTH_BYTES) + content


def frame_length(head: bytes) -> int:
    """Return how long the frame is that begins with `head`.

    Raises:
        ValueError: longer than any frame may be.
    """
    length = int.from_bytes(head)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes: at most {MAX_FRAME_BYTES} are allowed")
    return length


HEAD_BYTES = _LENGTH_BYTES
