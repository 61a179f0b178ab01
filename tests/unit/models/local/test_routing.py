"""Routing is asked under a grammar; whatever the model writes there is understood, or harmless."""

import pytest

from nanobot.core.message import Message, Text, ToolCall, ToolResult, user
from nanobot.core.tool import Schema, ToolSpec, tool_spec
from nanobot.models.local import routing
from nanobot.models.local.gbnf import Rules
from nanobot.models.local.routing import Decision, PlannedCall

ZONE: Schema = {
    "type": "object",
    "properties": {"timezone": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}},
    "required": [],
}
TIME = tool_spec("current_time", "Tell the time.", ZONE)
SUM = tool_spec(
    "calculate",
    "Work it out.",
    {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
)
MAIL = tool_spec(
    "send_mail",
    "Send a mail.",
    {
        "type": "object",
        "properties": {
            "to": {"type": "string", "description": "an address"},
            "urgent": {"type": "boolean"},
            "copies": {"type": "integer"},
        },
        "required": ["to"],
    },
)


# The prompt ---------------------------------------------------------------------------------------


def test_the_instructions_name_each_tool_with_its_arguments() -> None:
    text = routing.instructions((TIME, MAIL))
    assert "current_time(timezone: string or null): Tell the time." in text
    assert "send_mail(to: string, urgent: boolean, copies: integer): Send a mail. to: an address" in text


def test_examples_speak_only_of_tools_that_are_there() -> None:
    def answers(*tools: ToolSpec) -> str:
        return "\n".join(shown.text for shown in routing.examples(tools) if shown.role == "assistant")

    assert "current_time" not in answers()
    assert "calculate" not in answers()
    assert "current_time" in answers(TIME)
    assert "calculate" not in answers(TIME)
    assert "calculate" in answers(TIME, SUM)


def test_every_example_is_an_answer_that_the_grammar_allows_and_that_is_understood() -> None:
    for shown in routing.examples((TIME, SUM)):
        if shown.role == "assistant" and shown.text != "none":
            assert routing.read(shown.text, (TIME, SUM)) != Decision()


def test_what_comes_before_the_question_stays_the_same_from_message_to_message() -> None:
    """Else the engine would read it anew each time, which takes seconds."""
    assert routing.instructions((TIME, SUM)) == routing.instructions((TIME, SUM))
    assert routing.examples((TIME, SUM)) == routing.examples((TIME, SUM))


def test_the_question_is_the_last_thing_the_user_said() -> None:
    assert routing.question((user("Hello"),)) == user("Hello")


def test_the_question_brings_along_the_exchange_before_it() -> None:
    history = (
        user("Time in Rome?"),
        Message("assistant", (ToolCall("1", "current_time", "{}"),)),
        Message("tool", (ToolResult("1", "noon"),)),
    )
    text = routing.question(
        (*history, Message("assistant", (Text("It is noon."),)), user("And in Paris?"))
    ).text
    assert "Time in Rome?" in text
    assert "It is noon." in text
    assert text.endswith("And in Paris?")


def test_a_long_message_is_shown_by_its_beginning_and_its_end() -> None:
    text = routing.question((user("Look at this: " + "x" * 50_000 + " What is 2 + 2?"),)).text
    assert len(text) < 1_500
    assert text.startswith("Look at this:")
    assert text.endswith("What is 2 + 2?")


# The answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "route"),
    [
        ("none", Decision()),
        ("recall", Decision(recall=True)),
        ("recall everything", Decision()),
        ('calculate {"expression":"1 + 1"}', Decision((PlannedCall("calculate", '{"expression":"1 + 1"}'),))),
        (
            'current_time {"timezone":null}\ncalculate {"expression":"2"}',
            Decision(
                (
                    PlannedCall("current_time", '{"timezone":null}'),
                    PlannedCall("calculate", '{"expression":"2"}'),
                )
            ),
        ),
        (
            'calculate {"expression":"1"}\ncalculate {"expression":"1"}',
            Decision((PlannedCall("calculate", '{"expression":"1"}'),)),
        ),
        ('calculate {"expression":"1', Decision()),
        (
            'calculate {"expression":"1"}\ncurrent_time {"timez',
            Decision((PlannedCall("calculate", '{"expression":"1"}'),)),
        ),
        ('format_disk {"now":true}', Decision()),
        ("calculate " + "[" * 5_000, Decision()),
        ("", Decision()),
    ],
)
def test_an_answer_becomes_a_route(answer: str, route: Decision) -> None:
    """What was cut off, repeated or made up is left out."""
    assert routing.read(answer, (TIME, SUM)) == route


def test_at_most_three_calls_are_made_of_one_answer() -> None:
    answer = "\n".join(f'calculate {{"expression":"{number}"}}' for number in range(9))
    assert len(routing.read(answer, (SUM,)).calls) == routing.MAX_CALLS


# The grammar --------------------------------------------------------------------------------------


def test_without_tools_the_grammar_allows_words_only() -> None:
    assert routing.grammar(()) == 'root ::= "none" | "recall"'


def test_the_grammar_spells_out_the_arguments() -> None:
    lines = routing.grammar((TIME, SUM)).splitlines()
    assert lines[0].startswith('root ::= "none" | "recall"')
    assert r'r5 ::= "{" "\"expression\":" string "}"' in lines
    assert 'call ::= "current_time " r4 | "calculate " r5' in lines


def test_an_argument_that_may_be_null_must_be_decided_and_one_that_may_be_missing_may_be_left_out() -> None:
    rules = Rules()
    rules.value(MAIL.schema)
    text = rules.text("x")
    assert r'"{" "\"to\":" string ("," "\"urgent\":" boolean)? ("," "\"copies\":" integer)? "}"' in text
    assert r'"{" "\"timezone\":" r3 "}"' in routing.grammar((TIME,))


@pytest.mark.parametrize(
    ("schema", "rule"),
    [
        ({"enum": ["a", 1, None]}, r'"\"a\"" | "1" | "null"'),
        ({"const": 'say "hi"'}, r'"\"say \\\"hi\\\"\""'),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": ["string", "null", "string", 5, {}]}, "string | null"),
        (
            {"type": "object", "properties": {"a": {"type": "null"}}, "required": [{}, 5]},
            r'"{" "\"a\":" null "}"',
        ),
        ({"type": "array", "items": {"type": "integer"}}, '"[" (integer ("," integer)*)? "]"'),
        ({"type": "object"}, '"{}"'),
        (
            {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "boolean"}}},
            r'"{" "\"a\":" null ("," "\"b\":" boolean)? "}"',
        ),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}},
            r'"{" ("\"a\":" integer ("," "\"b\":" boolean)? | "\"b\":" boolean)? "}"',
        ),
    ],
)
def test_a_schema_becomes_a_rule(schema: Schema, rule: str) -> None:
    rules = Rules()
    name = rules.value(schema)
    assert f"{name} ::= {rule}" in rules.text("x").splitlines()


def deep(depth: int) -> Schema:
    schema: Schema = {"type": ["object"] * 50}
    for _ in range(depth):
        schema = {"type": ["object"] * 50, "properties": {"a": schema}, "anyOf": []}
    return schema


def alternatives(depth: int) -> Schema:
    schema: Schema = {"type": "null"}
    for _ in range(depth):
        schema = {"anyOf": [schema]}
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    "schema",
    [
        deep(6),
        alternatives(450),
        {"type": "object", "properties": {f"a{number}": {"type": "string"} for number in range(5_000)}},
        {"type": "object", "properties": {"a": {"type": [["object"], {}]}}},
    ],
    ids=[
        "a kind fifty times on each level",
        "hundreds of levels",
        "thousands of members",
        "kinds that are none",
    ],
)
def test_no_schema_of_a_stranger_makes_a_large_grammar(schema: Schema) -> None:
    tool = tool_spec("look", "Look.", schema)
    assert len(routing.grammar((tool,))) < 5_000
    assert routing.instructions((tool,))
