"""The schemas of the OpenAPI document, out of the types that parse requests and make answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from nanobot.http.errors import ErrorBody
from nanobot.http.operations import Operation
from nanobot.http.schema_extra import REQUIRED

Schema = dict[str, object]
_REFERENCE = "#/components/schemas/{name}"


class Schemas:
    """The schemas of all types that the operations take and return. `components`: those that have names, as
    others refer to them.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
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
        self.components = {
            renamed[name]: _tidied(schema, renamed) for name, schema in sorted(components.items())
        }
        for operation in operations:
            if operation.form is not None:
                name = renamed[operation.form.__name__]
                extra: Mapping[str, object] = getattr(operation.form, "SCHEMA", {})
                schema = _walk(self.components[name], _in_a_form)
                self.components[name] = {**schema, **extra} if isinstance(schema, dict) else schema
        self._schemas = {
            repr(kind): _tidied(schema, renamed) for kind, schema in zip(unique, schemas, strict=True)
        }

    def of(self, kind: object) -> object:
        """Return the schema of one of these types."""
        return self._schemas[repr(kind)]


def _types(operation: Operation) -> Iterable[object]:
    kinds = (operation.body, operation.form, *operation.answers.values())
    return (kind for kind in kinds if kind not in (None, bytes, str))


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
