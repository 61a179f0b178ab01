import json
import sys

import pytest

from nanobot.core.masking import HIDDEN, masked

SECRETS = [
    {"password": "hunter2"},
    {"headers": {"Authorization": "Bearer hunter2"}},
    {"env": [{"OPENAI_API_KEY": "hunter2"}]},
    {"url": "https://ann:hunter2@example.org/"},
    {"url": "https://example.org/?a=1&access_token=hunter2"},
    {"command": "curl -H 'Authorization: Bearer hunter2.x' example.org"},
    {"text": "my key is sk-proj-hunter2hunter2hunter2"},
    {"text": "nb-hunter2hunter2hunter2hunter2"},
    {"a": {"b": [{"client_secret": {"value": "hunter2"}}]}},
]


@pytest.mark.parametrize("arguments", SECRETS, ids=str)
def test_secrets_are_hidden_by_their_name_or_their_form(arguments: dict[str, object]) -> None:
    shown = masked(json.dumps(arguments), 1_000)
    assert "hunter2" not in shown and HIDDEN in shown
    json.loads(shown)


@pytest.mark.parametrize(
    "arguments",
    [{"expression": "6*7"}, {"keyboard": "qwerty"}, {"url": "https://example.org/a?b=c"}, {"password": ""}],
    ids=str,
)
def test_all_else_stays_as_it_is(arguments: dict[str, str]) -> None:
    assert json.loads(masked(json.dumps(arguments), 1_000)) == arguments


def test_malformed_and_long_arguments_are_bounded_too() -> None:
    assert masked("{ sk-hunter2hunter2hunter2", 1_000) == f"{{ {HIDDEN}"
    assert len(masked(json.dumps({"a": "b" * 10_000}), 100)) < 130
    assert masked("[" * 100_000, 100)


@pytest.mark.parametrize("before", [0, 80, 95, 99])
@pytest.mark.parametrize("is_whole", [True, False])
def test_a_secret_at_the_end_of_what_is_shown_is_hidden(before: int, *, is_whole: bool) -> None:
    text = "x" * before + " sk-proj-" + "hunter2" * 30 + "y" * 100_000
    arguments = json.dumps({"text": text})
    shown = masked(arguments if is_whole else arguments[:-2], 100)
    assert "hunter2" not in shown and "sk-proj" not in shown
    assert len(shown) < 150


def test_what_is_not_shown_is_not_looked_through() -> None:
    """A model may write a megabyte, and the event loop waits."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    many = json.dumps({"words": ["word"] * 100_000, "more": {str(number): "x" for number in range(10_000)}})
    sys.setprofile(count)
    try:
        shown = masked(many, 200)
    finally:
        sys.setprofile(None)
    assert shown.startswith('{"words": ["word", "word"') and shown.endswith(f"… ({len(many)} characters)")
    assert calls < 5_000


def test_json_that_breaks_off_is_shown_up_to_the_first_secret() -> None:
    assert masked('{"a": [1], "password": "hunter2", "b": "hun', 1_000) == f'{{"a": [1], "password": {HIDDEN}'
    assert masked('{"a": "keyboard", "b": [1', 1_000) == '{"a": "keyboard", "b": [1'
