"""Operations: what the API offers, as values.

Routes, rights, the OpenAPI document and the tests of access come from one list.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.types import Send

from nanobot.core.errors import MethodNotAllowed, MissingRight, NanobotError, RouteNotFound
from nanobot.core.late_pattern import LatePattern
from nanobot.http.request import Request, Route

_VERSION = "/v1"
_SLASHES = LatePattern(r"/{2,}")
_BLANK_END = LatePattern(r"(?:/|%20|%09|%0[AaDd])+\Z")
_LONGEST_HINTED = 512
_LEAST_TELLING = 2
"""A path of fewer parts behind the version, such as `/models`, may end that of any other server."""
_ANY_REST = ":path}"
Handler = Callable[[Request, Send], Awaitable[None]]


class Parameter(msgspec.Struct, frozen=True):
    """A part of the request besides its body.

    `schema`: a JSON schema of the value. Parameters of the path need not be listed.
    """

    name: str
    where: Literal["query", "header"]
    description: str
    schema: Mapping[str, object] = msgspec.field(default_factory=lambda: {"type": "string"})
    required: bool = False


class Operation(Route, frozen=True, kw_only=True):
    """A route, what it takes and what it answers.

    `body`: the type that the JSON body is decoded into (`body_is_optional`: it may be left out); `form`: the
    type that describes a `multipart/form-data` body; its class variable `SCHEMA` has what only a JSON schema
    can say of the whole. `answers`: the type of the body for each status that is no error (None: no body,
    `bytes`: any content, `str`: text). `streams`: the answer may be `text/event-stream`. `errors`: what may
    be raised besides what any route may raise. `media_type`: of an answer that is not JSON. `links`:
    parameters of other paths that an answer of this one contains, each with the OpenAPI runtime expression
    that finds it (`{"file_id": "$response.body#/id"}`).
    """

    run: Handler
    summary: str
    tag: str
    parameters: tuple[Parameter, ...] = ()
    body: type | None = None
    body_is_optional: bool = False
    form: type | None = None
    answers: Mapping[int, object] = msgspec.field(default_factory=lambda: {200: None})
    streams: bool = False
    errors: tuple[type[NanobotError], ...] = ()
    media_type: str | None = None
    links: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def only_streams(self) -> bool:
        """Whether every answer that is no error is a stream."""
        return self.streams and all(shape is None for shape in self.answers.values())


class Path:
    """All operations on one path; `operations` has them by method.

    In the path, `{name}` stands for a part between slashes that is not empty, and `{name:path}` at its end
    for any rest.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations: dict[str, Operation] = {operation.method: operation for operation in operations}
        if len(self.operations) != len(operations):
            raise ValueError(f"two operations for one method on {operations[0].path}")
        path = operations[0].path
        self._beginning = path.partition("{")[0]
        self._parts = tuple(path.removeprefix(self._beginning).split("/"))
        self._most_slashes = len(self._parts) - (1 if path.endswith(_ANY_REST) else 0)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters in `path`, still encoded; None where it is another path."""
        if not path.startswith(self._beginning):
            return None
        given = path.removeprefix(self._beginning).split("/", self._most_slashes)
        if len(given) != len(self._parts):
            return None
        parameters: dict[str, str] = {}
        for part, text in zip(self._parts, given, strict=True):
            if part[:1] != "{":
                if text != part:
                    return None
            elif part.endswith(_ANY_REST):
                parameters[part[1 : -len(_ANY_REST)]] = text
            elif text:
                parameters[part[1:-1]] = text
            else:
                return None
        return parameters

    def run(self, request: Request, send: Send, parameters: Mapping[str, str]) -> Awaitable[None]:
        """Return the run of the operation for the request's method.

        Raises:
            MethodNotAllowed, MissingRight
            RouteNotFound: a parameter is not percent-encoded UTF-8.
        """
        method = request.method
        operation = self.operations.get(method)
        if operation is None and method == "HEAD":
            # uvicorn leaves the body out of the answer. A stream would go on, with nothing to show for it.
            got = self.operations.get("GET")
            operation = None if got is not None and got.only_streams else got
        if operation is None:
            allow = ", ".join(self.operations)
            raise MethodNotAllowed(
                f"{method} is not allowed on {request.path}: it takes {allow}", allow=allow
            )
        # Set before the right is checked, so that the audit log names the operation that was refused.
        request.route = operation
        right = operation.right
        if right is not None and right not in request.caller.rights:
            raise MissingRight(f"this API key may not do this: it lacks the right {right!r}")
        if parameters:
            request.path_params = {name: _decoded(value) for name, value in parameters.items()}
        return operation.run(request, send)


class Routes:
    """Where each path leads. Paths are matched as they were sent, percent-encoded: a session key may hold a
    slash.

    A path without parameters is looked up; the others are tried in turn.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        by_path: dict[str, list[Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, []).append(operation)
        self.paths = {path: Path(each) for path, each in by_path.items()}
        self._fixed = {path: handler for path, handler in self.paths.items() if "{" not in path}
        self._patterns = tuple(handler for path, handler in self.paths.items() if "{" in path)

    def run(self, request: Request, send: Send) -> Awaitable[None]:
        """Return the run of the operation that the request asks for; what that raises comes from the run.

        Raises:
            RouteNotFound: no path matches.
            NanobotError: as `Path.run`.
        """
        path = request.path
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed.run(request, send, {})
        for pattern in self._patterns:
            parameters = pattern.match(path)
            if parameters is not None:
                return pattern.run(request, send, parameters)
        raise RouteNotFound(f"there is nothing at {path}{self._hint(path)}")

    def _hint(self, path: str) -> str:
        """Return what the client may have meant, whose base URL has something else before or behind `/v1`."""
        if len(path) > _LONGEST_HINTED:
            return ""
        start = path.lower().rfind(f"{_VERSION}/")
        rest = _BLANK_END.sub("", path[start + len(_VERSION) if start >= 0 else 0 :])
        meant = _VERSION + _SLASHES.sub("/", rest)
        if not any(handler.match(meant) is not None for handler in self.paths.values()):
            known = (each for each in self._fixed if each.count("/") > _LEAST_TELLING)
            meant = next((each for each in known if meant.endswith(each.removeprefix(_VERSION))), "")
        return f": did you mean {meant}? The base URL ends with {_VERSION}, once" if meant else ""


def _decoded(value: str) -> str:
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RouteNotFound(f"{value!r} in the path is not percent-encoded UTF-8") from error
