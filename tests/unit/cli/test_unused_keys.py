from pathlib import Path

import pytest

from nanobot.cli.unused_keys import tell_unused
from nanobot.config import Config, ModelTable, ServerTable

FOUND = {"FIREWORKS_API_KEY": "sk-canary", "AWS_ACCESS_KEY_ID": "canary"}


def test_a_start_with_the_small_model_says_which_keys_it_found_and_why_it_does_not_use_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_unused(Config(server=ServerTable(data=str(tmp_path))), FOUND)
    out, err = capsys.readouterr()
    assert out == "" and "canary" not in err
    assert [line.split(": ")[:3] for line in err.splitlines()] == [
        ["note", "not used", "FIREWORKS_API_KEY"],
        ["note", "not used", "AWS_ACCESS_KEY_ID"],
    ]


@pytest.mark.parametrize(
    ("model", "environment"), [("echo", FOUND), (None, {**FOUND, "GROQ_API_KEY": "k"}), (None, {})]
)
def test_a_start_with_another_model_says_nothing(
    model: str | None, environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_unused(Config(server=ServerTable(data=str(tmp_path)), model=ModelTable(name=model)), environment)
    assert capsys.readouterr() == ("", "")
