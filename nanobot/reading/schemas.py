"""JSON schemas of strangers: checked by a worker, for a small one can cost hours and gigabytes.

Schemas without references and patterns are checked at once: their cost is at most their size times that of
the answer.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import msgspec

from nanobot.core.errors import InvalidRequest
from nanobot.core.output import InvalidOutput
from nanobot.reading.schema_check import SchemaRequest, problem_of
from nanobot.workers.pool import WorkerPool
from nanobot.workers.task import Task, WorkerLimits

_LIMITS = WorkerLimits(wall_s=1.0, cpu_s=1, memory_bytes=80 * 1024 * 1024, max_output_bytes=10_000)
_LARGEST_SIMPLE_BYTES = 8_192
_LONGEST_SIMPLE_TEXT = 65_536
_MOST_REMEMBERED = 256
_ANNOTATIONS = frozenset(
    {"$schema", "title", "description", "default", "examples", "format", "const", "enum"}
)
_VALUES = frozenset(
    {
        "type",
        "required",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    }
)
_ONE = frozenset({"items", "additionalProperties", "not"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf"})
_BY_NAME = frozenset({"properties"})


class WorkerSchemas:
    """`OutputSchemas` with workers. `max_bytes`: the largest schema (the setting `api.max_schema_kb`)."""

    def __init__(self, workers: WorkerPool, max_bytes: int) -> None:
        self._workers = workers
        self._max_bytes = max_bytes
        # A client sends the same schemas again and again.
        self._usable: OrderedDict[bytes, None] = OrderedDict()

    async def check(self, schema: msgspec.Raw, param: str, owner: str) -> None:
        raw = bytes(schema)
        if len(raw) > self._max_bytes:
            raise InvalidRequest(
                f"{param} has {len(raw)} bytes: at most {self._max_bytes} are allowed (api.max_schema_kb)",
                param=param,
            )
        if raw in self._usable:
            self._usable.move_to_end(raw)
            return
        problem = await self._problem(raw, None, owner)
        if problem is None:
            raise InvalidRequest(
                f"{param} costs more than {_LIMITS.cpu_s} s of computing to use: write it with fewer"
                " references to one another",
                param=param,
            )
        if problem:
            raise InvalidRequest(f"{param} is no JSON schema: {problem}", param=param)
        self._usable[raw] = None
        if len(self._usable) > _MOST_REMEMBERED:
            self._usable.popitem(last=False)

    async def validate(self, schema: msgspec.Raw, text: str, owner: str) -> None:
        problem = await self._problem(bytes(schema), text, owner)
        if problem is None:
            raise InvalidOutput("it costs too much to compare it with the schema: answer more briefly")
        if problem:
            raise InvalidOutput(f"it does not fit the schema: {problem}")

    async def _problem(self, schema: bytes, text: str | None, owner: str) -> str | None:
        """Return what is wrong, nothing if all is well; None where it costs too much to find out."""
        simple = _decoded(schema)
        if simple is not None and (text is None or len(text) <= _LONGEST_SIMPLE_TEXT):
            return problem_of(simple, text)
        head = msgspec.json.encode(SchemaRequest(schema.decode(), text))
        task = Task("nanobot.reading.schema_check", _LIMITS, head, libraries=("jsonschema_rs",))
        outcome = await self._workers.run(task, owner)
        return msgspec.json.decode(outcome.output, type=str) if outcome.ending == "done" else None


def _decoded(schema: bytes) -> bool | dict[str, Any] | None:
    """Return the schema where its cost is bounded by its size, else None."""
    if len(schema) > _LARGEST_SIMPLE_BYTES:
        return None
    try:
        # Numbers out of the range of floats are refused: some libraries write them out in full.
        decoded: bool | dict[str, Any] = msgspec.json.decode(schema, type=bool | dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return None
    return decoded if _is_simple(decoded) else None


def _is_simple(schema: object) -> bool:
    to_come = [schema]
    while to_come:
        node = to_come.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            return False
        for name, value in node.items():
            if name in _ANNOTATIONS or name in _VALUES:
                continue
            below = list(_below(name, value))
            if not below:
                return False
            to_come += below
    return True


def _below(name: str, value: object) -> Iterator[object]:
    """Yield the schemas in `value` of the keyword `name`; nothing where the keyword is not a simple one."""
    if name in _ONE:
        yield value
    elif name in _LISTS and isinstance(value, list):
        yield from value
    elif name in _BY_NAME and isinstance(value, dict):
        # Its own properties may be none.
        yield True
        yield from value.values()
