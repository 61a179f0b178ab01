"""What the types of the wire allow of a field, in words: the bounds stand in the types alone
(`msgspec.Meta`).
"""

from collections.abc import Iterable, Iterator

import msgspec.inspect as inspect

from nanobot.core.late_pattern import LatePattern

_STEP = LatePattern(r"([^.\[\]]+)|\[(\d*)(?:\.\.\.)?\]")


def allowed(kind: object, path: str) -> str | None:
    """Return what the field at `path` of a value of the type `kind` must be: `be from 0 to 2`, `be one of
    low, high`, `have at most 16 entries`.

    None where the types say nothing but which type it is.
    """
    nodes: Iterable[inspect.Type] = (inspect.type_info(kind),)
    for name, _ in _STEP.findall(path):
        nodes = [inner for node in nodes for inner in _inside(node, name)]
    return next((words for node in nodes for each in _alternatives(node) if (words := _words(each))), None)


def _alternatives(node: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.UnionType):
        for each in node.types:
            yield from _alternatives(each)
    elif isinstance(node, inspect.Metadata):
        yield from _alternatives(node.type)
    else:
        yield node


def _inside(node: inspect.Type, name: str) -> Iterator[inspect.Type]:
    """Yield the types of the field `name`, or of the elements where the step has no name."""
    for each in _alternatives(node):
        if isinstance(each, inspect.StructType) and name:
            yield from (field.type for field in each.fields if field.encode_name == name)
        elif isinstance(each, inspect.DictType):
            yield each.value_type
        elif isinstance(each, inspect.ListType) and not name:
            yield each.item_type


def _words(node: inspect.Type) -> str | None:
    if isinstance(node, inspect.LiteralType):
        return f"be one of {', '.join(map(str, node.values))}"
    if isinstance(node, inspect.IntType | inspect.FloatType):
        return _between("be", node.ge, node.le, "", "")
    if isinstance(node, inspect.StrType):
        return _between("have", node.min_length, node.max_length, " character", " characters")
    if isinstance(node, inspect.ListType | inspect.DictType):
        return _between("have", node.min_length, node.max_length, " entry", " entries")
    return None


def _between(verb: str, low: float | None, high: float | None, one: str, many: str) -> str | None:
    if low is not None and high is not None:
        return f"{verb} from {_number(low)} to {_number(high)}{many}"
    if low is not None:
        return f"{verb} at least {_number(low)}{one if low == 1 else many}"
    if high is not None:
        return f"{verb} at most {_number(high)}{one if high == 1 else many}"
    return None


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
