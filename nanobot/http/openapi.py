"""The OpenAPI 3.1 document, built from the operations and from the very types that parse the requests and
make the answers.
"""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus

import msgspec

from nanobot import __version__
from nanobot.http.errors import ErrorBody
from nanobot.http.openapi_errors import SESSION_KEYS, error_codes, parameter_names
from nanobot.http.openapi_schemas import Schema, Schemas
from nanobot.http.operations import Operation, Parameter
from nanobot.http.session_key import SCHEMA

_BEARER = "bearer"


def document(operations: Sequence[Operation]) -> bytes:
    """Return the document as JSON."""
    return _Document(operations).render()


class _Document:
    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._schemas = Schemas(operations)

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
                    "schemas": self._schemas.components,
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
            content["application/json"] = {"schema": self._schemas.of(operation.body)}
        if operation.form is not None:
            content["multipart/form-data"] = {"schema": self._schemas.of(operation.form)}
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
        for error_status, codes in sorted(error_codes(operation).items()):
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
            content[operation.media_type or "application/json"] = {"schema": self._schemas.of(kind)}
        if is_streamed:
            # OpenAPI 3.1 cannot describe the events of a stream; docs/api.md lists them.
            content["text/event-stream"] = {}
        return content

    def _error(self, codes: Iterable[str]) -> Schema:
        codes_schema = {"properties": {"error": {"properties": {"code": {"enum": list(codes)}}}}}
        return {"application/json": {"schema": {"allOf": [self._schemas.of(ErrorBody), codes_schema]}}}

    def _links(self, operation: Operation) -> Schema:
        """Return where one may go on from the answer: every operation whose path has a parameter that it
        tells.
        """
        links: Schema = {}
        for other in self._operations:
            parameters = {
                name: operation.links[name] for name in parameter_names(other) if name in operation.links
            }
            if parameters and other is not operation and len(parameters) == len(parameter_names(other)):
                links[operation_id(other)] = {"operationId": operation_id(other), "parameters": parameters}
        return links


def operation_id(operation: Operation) -> str:
    """Return the name of the operation in generated clients, e.g. `get_v1_turns_turn_id`."""
    words = re.sub(r"[^a-z0-9]+", "_", _path(operation).lower()).strip("_")
    return f"{operation.method.lower()}_{words}"


def _path(operation: Operation) -> str:
    return re.sub(r":\w+}", "}", operation.path)


def _path_parameters(operation: Operation) -> Iterable[Schema]:
    for name in parameter_names(operation):
        is_key = name in SESSION_KEYS or name == "conversation_id"
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
