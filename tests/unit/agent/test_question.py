"""The question shows what is run, all of it, and nothing in the arguments can hide or forge any of it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.agent.question import canonical_arguments, question, shown_arguments
from nanobot.core.message import AskedCall

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


LINES = st.lists(
    st.sampled_from(
        ["", "x = 1", "    pass", "\tmake", "```", "`````", "é 好", "b" * 30 + " " * 30, "u\u200b"]
    )
).map("\n".join)


def read_back(shown: str) -> dict[str, Any]:
    """Return the arguments out of what people see."""
    found: dict[str, Any] = {}
    shown = shown.lstrip("\n")
    while shown:
        match = re.match(r"(?:(\w+)( \(with a line feed at its end\))?:\n)?(`{3,})(json|text)\n", shown)
        assert match is not None, shown
        name, ended, fence, language = match.groups()
        body, _, shown = shown[match.end() :].partition(f"\n{fence}")
        assert fence not in body and (not shown or shown.startswith("\n"))
        shown = shown.lstrip("\n")
        if language == "text":
            found[name] = body + ("\n" if ended else "")
        else:
            found |= json.loads(body)
    return found


@given(st.dictionaries(st.text() | st.sampled_from(["code", "path"]), JSON | LINES, max_size=4))
def test_what_is_shown_is_what_is_run(arguments: dict[str, Any]) -> None:
    kept = canonical_arguments(json.dumps(arguments))
    assert json.loads(kept) == arguments
    assert canonical_arguments(kept) == kept
    shown = shown_arguments(kept)
    assert read_back(shown) == arguments
    assert all(character.isprintable() or character in "\n\t" for character in shown)


def test_characters_that_reorder_or_hide_others_are_escaped() -> None:
    shown = shown_arguments(canonical_arguments('{"to": "ann\\u202e\\u200b\\u2066bob\\u0007"}'))
    assert "\\u202e" in shown and "\\u200b" in shown and "\\u2066" in shown and "\\u0007" in shown
    assert "Zoë 好" in shown_arguments(canonical_arguments('{"to": "Zoë 好"}'))


def test_of_a_member_that_comes_twice_the_one_that_is_shown_is_run() -> None:
    assert canonical_arguments('{"to": "ann", "to": "bob"}') == '{"to": "bob"}'


@pytest.mark.parametrize("text", ["[1]", "1", "{", '{"a": Infinity}', '{"a": NaN}', '{"a": 1e999}'])
def test_what_is_no_object_of_json_is_not_asked_about(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        canonical_arguments(text)


def test_too_much_to_read_is_not_asked_about() -> None:
    with pytest.raises(ValueError, match="at most 4000"):
        canonical_arguments(json.dumps({"to": "a" * 4_000}))


def test_no_arguments_are_an_empty_object() -> None:
    assert canonical_arguments("  ") == "{}"


def ask(id_: str, tool: str, expires_at: float = 1_800_000_000.0, asker: str | None = None) -> AskedCall:
    return AskedCall(id_, f"call_{id_}", tool, '{"a": 1}', expires_at, asker)


def test_the_question_names_the_tools_the_time_and_the_approvals() -> None:
    message = question([ask("appr_1", "send"), ask("appr_2", "push", 1_799_999_940.0)])
    assert message.stop_reason == "stop" and not message.tool_calls
    assert "these 2 calls" in message.text and "**send**" in message.text and "**push**" in message.text
    assert "2027-01-15 07:59 UTC" in message.text and "(appr_1, appr_2)" in message.text
    assert [each.id for each in message.asks] == ["appr_1", "appr_2"]
    assert '"always"' in message.text
    assert '"always"' not in question([ask("appr_1", "send", asker="ann")]).text


@pytest.mark.parametrize("character", ["\ufe01", "\U000e0101", "\u3164", "\u2800", "\u034f", "\u202e"])
def test_what_shows_nothing_is_escaped(character: str) -> None:
    shown = shown_arguments(canonical_arguments(json.dumps({"to": f"ann{character}"})))
    assert character not in shown and json.dumps(character)[1:-1] in shown


def test_emoji_are_shown_as_they_are_but_for_what_is_hidden_behind_them() -> None:
    assert '"❤️"' in shown_arguments('{"text": "❤️"}')
    assert "❤\ufe0f\\ufe0f" in shown_arguments('{"text": "❤\ufe0f\ufe0f"}')


def test_what_is_nested_too_deep_to_be_read_is_not_asked_about() -> None:
    assert canonical_arguments('{"a": ' + "[" * 30 + "]" * 30 + "}")
    with pytest.raises(ValueError, match="32 levels"):
        canonical_arguments('{"a": ' + "[" * 900 + "]" * 900 + "}")


def test_a_script_is_shown_in_lines() -> None:
    arguments = {"code": "import os\n\nfor name in os.listdir():\n    print(name)\n", "timeout_s": 5}
    assert shown_arguments(json.dumps(arguments)) == (
        '```json\n{\n  "timeout_s": 5\n}\n```\n\n'
        "code (with a line feed at its end):\n"
        "```text\nimport os\n\nfor name in os.listdir():\n    print(name)\n```"
    )
    assert shown_arguments('{"code": "a\\nb"}') == "\ncode:\n```text\na\nb\n```"
    assert "code:\n````text\n" in shown_arguments('{"code": "a\\n```\\nb"}')


@pytest.mark.parametrize(
    "text",
    [
        "echo harmless\n\n\n\nrm -rf .",
        "echo harmless" + " " * 40 + "; rm -rf .\necho over",
        "a\n" + " " * 80 + "b",
        "a\u200bb\nc",
        "a\rb\nc",
        "\n\na\nb",
        "a\nb\n\n",
        "one line\n",
    ],
)
def test_a_text_that_could_hide_something_stays_json(text: str) -> None:
    shown = shown_arguments(json.dumps({"code": text}))
    assert shown.startswith('```json\n{\n  "code": "') and shown.count("\n") == 4
