"""JSON Schema as older servers of the Gemini API take it: a subset of OpenAPI's."""

from typing import Any

_KEPT = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "required",
    }
)
_FORMATS = frozenset({"enum", "date-time", "float", "double", "int32", "int64"})
_MAX_DEPTH = 32


def openapi_schema(schema: object) -> dict[str, Any]:
    """Return what of a JSON schema the subset can say; what it cannot is left open.

    References are followed, and definitions within themselves left open at their second occurrence.
    """
    return _Subset(schema if isinstance(schema, dict) else {}).of(schema, ())


class _Subset:
    def __init__(self, whole: dict[str, Any]) -> None:
        self._definitions = {
            f"#/{place}/{name}": definition
            for place in ("$defs", "definitions")
            if isinstance(whole.get(place), dict)
            for name, definition in whole[place].items()
        }

    def of(self, schema: object, within: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(schema, dict) or len(within) > _MAX_DEPTH:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            known = self._definitions.get(reference)
            return {} if reference in within else self.of(known, (*within, reference))
        within = (*within, "")
        subset = {key: value for key, value in schema.items() if key in _KEPT}
        if subset.get("format") not in _FORMATS:
            subset.pop("format", None)
        self._set_type(subset, schema)
        if any(not isinstance(value, str) for value in subset.get("enum", ())):
            del subset["enum"]
        options = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(options, list):
            subset["anyOf"] = [self.of(option, within) for option in options]
        properties = schema.get("properties")
        if isinstance(properties, dict) and properties:
            subset["properties"] = {name: self.of(part, within) for name, part in properties.items()}
        if "items" in schema or subset.get("type") == "array":
            subset["items"] = self.of(schema.get("items"), within)
        known_names = subset.get("properties", {})
        if required := [name for name in subset.pop("required", ()) if name in known_names]:
            subset["required"] = required
        return subset

    def _set_type(self, subset: dict[str, Any], schema: dict[str, Any]) -> None:
        """Write several types as one that may be null, and a constant as the only value."""
        kinds = schema.get("type")
        if isinstance(kinds, list):
            named = [kind for kind in kinds if kind != "null"]
            subset.pop("type")
            if len(named) == 1:
                subset["type"] = named[0]
            if len(named) < len(kinds):
                subset["nullable"] = True
        if isinstance(schema.get("const"), str):
            subset["enum"] = [schema["const"]]
