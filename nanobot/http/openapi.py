"""The OpenAPI 3.1 document, built from the operations and from the very types that parse the requests and
make the answers.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus

import msgspec

from nanobot import __version__
from nanobot.core.errors import (
    BadApiKey,
    BadSessionKey,
    BodyTooLarge,
    ForbiddenOrigin,
    HeadTooLarge,
    InvalidHttp,
    InvalidJson,
    InvalidRequest,
    MethodNotAllowed,
    MissingRight,
    MissingSessionKey,
    ModelError,
    NanobotError,
    Overloaded,
    RouteNotFound,
    SessionNotFound,
    SlowRequest,
    StoreCorrupt,
    StoreError,
    StreamingOff,
    TooManyAttempts,
    TooManyBadKeys,
    TurnCancelled,
    TurnTimedOut,
    UploadNotFound,
)
from nanobot.http.errors import ErrorBody
from nanobot.http.operations import Operation, Parameter
from nanobot.http.schema_extra import REQUIRED
from nanobot.http.session_key import HEADER, SCHEMA

Schema = dict[str, object]
_REFERENCE = "#/components/schemas/{name}"
_BEARER = "bearer"
_SESSION_KEYS = frozenset({"key", "session_key"})
"""Parameters of paths that are session keys."""
_ANYWHERE: tuple[type[NanobotError], ...] = (
    InvalidRequest,
    InvalidHttp,
    ForbiddenOrigin,
    RouteNotFound,
    MethodNotAllowed,
    HeadTooLarge,
)
"""What any route may answer besides its own errors; `NanobotError` itself stands for a bug."""
_OF_A_BODY: tuple[type[NanobotError], ...] = (InvalidJson, BodyTooLarge, SlowRequest, Overloaded)
_OF_A_TURN: tuple[type[NanobotError], ...] = (
    TurnCancelled,
    TurnTimedOut,
    TooManyAttempts,
    SessionNotFound,
    StreamingOff,
)
"""How a turn may end: an operation that may raise a `ModelError` may raise these."""
_OF_A_SESSION: tuple[type[NanobotError], ...] = (BadSessionKey, MissingSessionKey, SessionNotFound)
_NEVER_SHOWN = frozenset({"stale_attempt", "store_locked", "store_too_new"})
"""Codes below `StoreError` that no request meets: the first is the fence's, the others keep a server from
starting.
"""


def document(operations: Sequence[Operation]) -> bytes:
    """Return the document as JSON."""
    return _Document(operations).render()


class _Document:
    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        types = [ErrorBody, *(kind for operation in operations for kind in _types(operation))]
        unique = list({repr(kind): kind for kind in types}.values())
        schemas, components = msgspec.json.schema_components(
            unique, schema_hook=_anything, ref_template=_REFERENCE
        )
        sent = {repr(kind) for operation in operations for kind in (operation.body, operation.form)}
        asked = {
            name
            for kind, schema in zip(unique, schemas, strict=True)
            if repr(kind) in sent
            for name in _referred(schema)
        }
        for name in set(components) - _closed(asked, components) - _sparing():
            _require_all(components[name])
        renamed = _shorter(components)
        self._components = {
            renamed[name]: _tidied(schema, renamed) for name, schema in sorted(components.items())
        }
        for operation in operations:
            if operation.form is not None:
                name = renamed[operation.form.__name__]
                extra: Mapping[str, object] = getattr(operation.form, "SCHEMA", {})
                schema = _walk(self._components[name], _in_a_form)
                self._components[name] = {**schema, **extra} if isinstance(schema, dict) else schema
        self._schemas = {
            repr(kind): _tidied(schema, renamed) for kind, schema in zip(unique, schemas, strict=True)
        }

    def render(self) -> bytes:
        paths: dict[str, dict[str, object]] = {}
        for operation in self._operations:
            paths.setdefault(_path(operation), {})[operation.method.lower()] = self._operation(operation)
        tags = dict.fromkeys(operation.tag for operation in self._operations)
        return msgspec.json.encode(
            {
                "openapi": "3.1.1",
                "info": {
                    "title": "nanobot",
                    "version": __version__,
                    "description": "A self-hosted AI agent behind an OpenAI-compatible API. The header "
                    "`x-session-key` names the conversation.",
                    "license": {"name": "MIT", "identifier": "MIT"},
                },
                # Relative to the document, which a proxy may serve below a path.
                "servers": [{"url": "."}],
                "tags": [{"name": tag} for tag in tags],
                "paths": paths,
                "components": {
                    "schemas": self._components,
                    "headers": {
                        "RequestId": {
                            "description": "the id that the log gives this request",
                            "schema": {"type": "string"},
                        }
                    },
                    "securitySchemes": {
                        _BEARER: {
                            "type": "http",
                            "scheme": "bearer",
                            "description": "An API key of this server.",
                        }
                    },
                },
            }
        )

    def _operation(self, operation: Operation) -> Schema:
        shown: Schema = {
            "operationId": operation_id(operation),
            "summary": operation.summary,
            "tags": [operation.tag],
        }
        if operation.right is None:
            shown["security"] = []
        else:
            shown["security"] = [{_BEARER: []}]
            shown["x-right"] = operation.right
        if parameters := [*_path_parameters(operation), *map(_parameter, operation.parameters)]:
            shown["parameters"] = parameters
        if operation.body is not None or operation.form is not None:
            shown["requestBody"] = {
                "required": not operation.body_is_optional,
                "content": self._sent(operation),
            }
        shown["responses"] = self._responses(operation)
        return shown

    def _sent(self, operation: Operation) -> Schema:
        content: Schema = {}
        if operation.body is not None:
            content["application/json"] = {"schema": self._schemas[repr(operation.body)]}
        if operation.form is not None:
            content["multipart/form-data"] = {"schema": self._schemas[repr(operation.form)]}
        return content

    def _responses(self, operation: Operation) -> Schema:
        responses: Schema = {}
        links = self._links(operation)
        for status, kind in operation.answers.items():
            content = self._content(
                operation, kind, is_streamed=operation.streams and status == HTTPStatus.OK
            )
            responses[str(status)] = _response(
                HTTPStatus(status).phrase, content, links if status < HTTPStatus.BAD_REQUEST else {}
            )
        for error_status, codes in sorted(_codes(operation).items()):
            if str(error_status) not in responses:
                responses[str(error_status)] = _response(
                    ", ".join(f"`{code}`" for code in codes), self._error(codes), {}
                )
        return responses

    def _content(self, operation: Operation, kind: object, *, is_streamed: bool) -> Schema:
        content: Schema = {}
        if kind is bytes:
            content[operation.media_type or "*/*"] = {}
        elif kind is str:
            content[operation.media_type or "text/plain"] = {"schema": {"type": "string"}}
        elif kind is not None:
            content[operation.media_type or "application/json"] = {"schema": self._schemas[repr(kind)]}
        if is_streamed:
            # OpenAPI 3.1 cannot describe the events of a stream; docs/api.md lists them.
            content["text/event-stream"] = {}
        return content

    def _error(self, codes: Iterable[str]) -> Schema:
        codes_schema = {"properties": {"error": {"properties": {"code": {"enum": list(codes)}}}}}
        return {"application/json": {"schema": {"allOf": [self._schemas[repr(ErrorBody)], codes_schema]}}}

    def _links(self, operation: Operation) -> Schema:
        """Return where one may go on from the answer: every operation whose path has a parameter that it
        tells.
        """
        links: Schema = {}
        for other in self._operations:
            parameters = {name: operation.links[name] for name in _names(other) if name in operation.links}
            if parameters and other is not operation and len(parameters) == len(_names(other)):
                links[operation_id(other)] = {"operationId": operation_id(other), "parameters": parameters}
        return links


def operation_id(operation: Operation) -> str:
    """Return the name of the operation in generated clients, e.g. `get_v1_turns_turn_id`."""
    words = re.sub(r"[^a-z0-9]+", "_", _path(operation).lower()).strip("_")
    return f"{operation.method.lower()}_{words}"


def _types(operation: Operation) -> Iterable[object]:
    kinds = (operation.body, operation.form, *operation.answers.values())
    return (kind for kind in kinds if kind not in (None, bytes, str))


def _path(operation: Operation) -> str:
    return re.sub(r":\w+}", "}", operation.path)


def _names(operation: Operation) -> list[str]:
    return re.findall(r"{(\w+)(?::\w+)?}", operation.path)


def _path_parameters(operation: Operation) -> Iterable[Schema]:
    for name in _names(operation):
        is_key = name in _SESSION_KEYS or name == "conversation_id"
        schema = SCHEMA if is_key else {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> Schema:
    shown: Schema = {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return {**shown, "required": True} if parameter.required else shown


def _response(description: str, content: Schema, links: Schema) -> Schema:
    shown: Schema = {
        "description": description,
        "headers": {"x-request-id": {"$ref": "#/components/headers/RequestId"}},
    }
    if content:
        shown["content"] = content
    return {**shown, "links": links} if links else shown


# Errors -------------------------------------------------------------------------------------------


def _codes(operation: Operation) -> dict[int, list[str]]:
    """Return the codes of the errors that the operation may answer, by status."""
    raised = [*_ANYWHERE, *operation.errors]
    if operation.right is not None:
        raised += [BadApiKey, TooManyBadKeys, MissingRight]
        raised += _below(StoreError)
    if operation.body is not None or operation.form is not None:
        raised += _OF_A_BODY
    if any(parameter.name == HEADER for parameter in operation.parameters) or _SESSION_KEYS.intersection(
        _names(operation)
    ):
        raised += _OF_A_SESSION
    if ModelError in operation.errors:
        raised += _OF_A_TURN
    if ModelError in operation.errors or (operation.body is not None and UploadNotFound in operation.errors):
        # Messages and the files beside them can be invalid in any of these ways.
        raised += _below(InvalidRequest)
    codes: dict[int, list[str]] = {NanobotError.http_status: [NanobotError.code]}
    for error in (kind for kind_ in raised for kind in (_below(kind_) if kind_ is ModelError else (kind_,))):
        known = codes.setdefault(error.http_status, [])
        if error.code not in known and error.code not in _NEVER_SHOWN:
            known.append(error.code)
    return codes


def _below(error: type[NanobotError]) -> list[type[NanobotError]]:
    # Only the tree itself: the document must not depend on what else is imported, such as the CLI's own
    # errors.
    children = (child for child in error.__subclasses__() if child.__module__ == StoreCorrupt.__module__)
    return [error, *(kind for child in children for kind in _below(child))]


# Schemas ------------------------------------------------------------------------------------------


def _anything(kind: type) -> Schema:
    if kind is object:
        return {"description": "any JSON value"}
    raise NotImplementedError(f"{kind} has no JSON schema")


def _closed(names: set[str], components: Mapping[str, object]) -> set[str]:
    """Return the components and all that they refer to."""
    fresh = set(names)
    while fresh:
        fresh = {name for known in fresh for name in _referred(components[known])} - names
        names = names | fresh
    return names


def _referred(node: object) -> set[str]:
    """Return the names of the components that a schema refers to itself."""
    names: set[str] = set()

    def look(inner: Schema) -> Schema:
        if isinstance(reference := inner.get("$ref"), str):
            names.add(reference.rpartition("/")[2])
        return inner

    _walk(node, look)
    return names


def _sparing() -> set[str]:
    """Return the names of the types that leave out fields which have their default."""
    kinds = [msgspec.Struct]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {
        kind.__name__ for kind in kinds if kind is not msgspec.Struct and kind.__struct_config__.omit_defaults
    }


def _require_all(schema: Schema) -> None:
    """An answer has each field that is not left out on purpose (UNSET), also one that has its default."""
    properties = schema.get("properties")
    required = schema.get("required")
    if isinstance(properties, dict):
        always = [
            name for name, inner in properties.items() if isinstance(inner, dict) and "default" in inner
        ]
        schema["required"] = [*(required if isinstance(required, list) else ()), *always]


def _shorter(components: Mapping[str, object]) -> dict[str, str]:
    """Return a name for each component: its own without the underscore of a private class, where no other
    has that name.
    """
    short = {name: name.strip("_") for name in components}
    taken = list(short.values())
    return {name: new if taken.count(new) == 1 else name for name, new in short.items()}


def _tidied(schema: object, renamed: Mapping[str, str]) -> object:
    """Return the schema with its references renamed, without titles, and with those fields required that
    are.
    """
    return _walk(schema, lambda node: _tidy(node, renamed))


def _walk(node: object, change: Callable[[Schema], Schema]) -> object:
    if isinstance(node, dict):
        return change({str(name): _walk(inner, change) for name, inner in node.items()})
    return [_walk(inner, change) for inner in node] if isinstance(node, list) else node


def _tidy(node: Schema, renamed: Mapping[str, str]) -> Schema:
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        return {**node, "$ref": _REFERENCE.format(name=renamed[name])}
    properties = node.get("properties")
    if node.get("type") == "object" and isinstance(properties, dict) and isinstance(node.get("title"), str):
        node = {key: value for key, value in node.items() if key not in ("title", "required")} | _required(
            node, properties
        )
    if node.get("default", ...) is None:
        node = {key: value for key, value in node.items() if key != "default"}
    return node


def _in_a_form(node: Schema) -> Schema:
    """Return the node as it is in a form: bytes stand there as they are, not as base64."""
    return (
        {"contentMediaType": "application/octet-stream"}
        if node == {"type": "string", "contentEncoding": "base64"}
        else node
    )


def _required(node: Schema, properties: dict[str, Schema]) -> Schema:
    listed = node.get("required")
    required = list(listed) if isinstance(listed, list) else []
    for name, schema in properties.items():
        if isinstance(schema, dict) and schema.pop(REQUIRED, False):
            schema.pop("default", None)
            required.append(name)
    return {"required": required} if required else {}
