"""JSON schemas of strangers: what fits them, and what those that are made to do harm cost."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from nanobot.core.errors import InvalidRequest
from nanobot.core.output import InvalidOutput
from nanobot.reading.schemas import WorkerSchemas
from nanobot.workers.pool import WorkerPool
from nanobot.workers.task import Outcome, Task

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "tags": {"type": "array", "items": {"enum": [1]}},
    },
    "required": ["name"],
    "additionalProperties": False,
}
REFERRING = {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}}


def diamond(depth: int, **last: object) -> dict[str, Any]:
    """Return a schema that names each of its parts twice: the paths through it double with each level."""
    levels: dict[str, Any] = {
        f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}, {"$ref": f"#/$defs/a{level + 1}"}]}
        for level in range(depth)
    }
    levels[f"a{depth}"] = {"type": "object", "properties": {"x": {"type": "integer"}}}
    return {"$defs": levels, "$ref": "#/$defs/a0", **last}


class CountingPool(WorkerPool):
    """Counts its tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = 0

    async def run(self, task: Task, owner: str) -> Outcome:
        self.tasks += 1
        return await super().run(task, owner)


@pytest.fixture
async def pool() -> AsyncIterator[CountingPool]:
    pool = CountingPool()
    yield pool
    await pool.close()


@pytest.fixture
def schemas(pool: CountingPool) -> WorkerSchemas:
    return WorkerSchemas(pool, max_bytes=100_000)


def raw(schema: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(schema).encode())


@pytest.mark.parametrize(
    ("schema", "fitting", "other"),
    [
        (PERSON, {"name": "Ann", "tags": [1]}, {"name": "Ann", "age": 3}),
        (PERSON, {"name": "Ann"}, {"name": ""}),
        (REFERRING, [1, 2], [1, "2"]),
        ({"type": "string", "pattern": "^a+$"}, "aaa", "b"),
        ({"anyOf": [{"type": "null"}, {"not": {"type": "string"}}]}, 3, "x"),
        ({"type": "array", "uniqueItems": True}, [1, 2], [1, 1]),
        (True, 1, None),
        (False, None, 1),
    ],
)
async def test_an_answer_fits_or_the_problem_is_said(
    schemas: WorkerSchemas, schema: object, fitting: object, other: object
) -> None:
    await schemas.check(raw(schema), "it", "a")
    if schema is not False:
        await schemas.validate(raw(schema), json.dumps(fitting), "a")
    if schema is not True:
        with pytest.raises(InvalidOutput, match="does not fit the schema"):
            await schemas.validate(raw(schema), json.dumps(other), "a")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objct"},
        {"$ref": "#/$defs/none"},
        {"$ref": "https://example.org/a.json"},
        {"pattern": "("},
        3,
        [],
        "x",
    ],
)
async def test_what_is_no_schema_is_refused(schemas: WorkerSchemas, schema: object) -> None:
    with pytest.raises(InvalidRequest, match="is no JSON schema") as caught:
        await schemas.check(raw(schema), "it", "a")
    assert caught.value.param == "it"


async def test_a_schema_over_the_limit_is_refused_with_its_setting(pool: CountingPool) -> None:
    with pytest.raises(InvalidRequest, match=r"at most 10 are allowed \(api.max_schema_kb\)"):
        await WorkerSchemas(pool, max_bytes=10).check(raw(PERSON), "it", "a")


@pytest.mark.parametrize(
    "schema",
    [
        diamond(18, unevaluatedProperties=False),
        diamond(22, unevaluatedProperties=False, type="object"),
        {**diamond(18), "unevaluatedItems": False},
        {"items": diamond(18, unevaluatedProperties=False)},
    ],
)
async def test_a_schema_that_multiplies_is_bounded(schemas: WorkerSchemas, schema: dict[str, Any]) -> None:
    """Whether it costs too much to read, or to compare: a worker pays for it, and not for long."""
    answer = json.dumps({"x": 1, "y": 2})
    try:
        await schemas.check(raw(schema), "it", "a")
    except InvalidRequest as error:
        assert "costs more than" in error.message or "is no JSON schema" in error.message
    else:
        with pytest.raises(InvalidOutput):
            await schemas.validate(raw(schema), answer, "a")


async def test_a_schema_whose_cost_is_plain_needs_no_worker(
    schemas: WorkerSchemas, pool: CountingPool
) -> None:
    await schemas.check(raw(PERSON), "it", "a")
    await schemas.validate(raw(PERSON), '{"name": "Ann"}', "a")
    assert pool.tasks == 0


async def test_a_schema_that_was_found_usable_is_not_checked_again(
    schemas: WorkerSchemas, pool: CountingPool
) -> None:
    for _ in range(3):
        await schemas.check(raw(REFERRING), "it", "a")
    assert pool.tasks == 1


@pytest.mark.parametrize(
    "schema",
    [
        '{"minimum": 1e999999999}',
        '{"const": 1e999999999}',
        '{"multipleOf": 1e-300}',
        '{"items":' * 3_000 + "true" + "}" * 3_000,
    ],
)
async def test_numbers_and_nesting_out_of_range_are_not_written_out_in_the_server(
    schemas: WorkerSchemas, pool: CountingPool, schema: str
) -> None:
    try:
        await schemas.check(msgspec.Raw(schema.encode()), "it", "a")
    except InvalidRequest as error:
        assert error.param == "it"
    assert pool.tasks == 1
