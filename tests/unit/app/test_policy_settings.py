"""The policy in the settings: what it means, and what is no policy."""

from pathlib import Path

import pytest

from nanobot.app.policy import policy_rules
from nanobot.app.tools import own_tools
from nanobot.config import load
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.policy import Policy

TOOLS = own_tools(SystemClock())


def policy_of(folder: Path, text: str) -> Policy:
    (folder / "nanobot.toml").write_text(text)
    return Policy(policy_rules(load(folder / "nanobot.toml", {}, {}), TOOLS))


def test_tables_become_rules_in_their_order(tmp_path: Path) -> None:
    policy = policy_of(
        tmp_path,
        """
        [[policy]]
        pattern = "wx:group:*"
        origins = ["api"]
        tools = { calculate = "ask" }
        calls_per_turn = 2
        [[policy]]
        tools = { "@facts" = "deny" }
        """,
    )
    current_time, calculate = TOOLS
    group = policy.of("wx:group:g", "api")
    assert (group.ruling(calculate).decision, group.ruling(calculate).calls_per_turn) == ("ask", 2)
    assert group.ruling(current_time).decision == "deny"
    assert policy.of("wx:group:g", "cli").ruling(calculate).rule == "policy[1]"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('tools = { calculat = "ask" }', "there is no tool 'calculat': there are *, @facts, calculate"),
        ('tools = { "@web" = "ask" }', "there is no tool '@web'"),
        ("tools = {}", "policy[0].tools is empty"),
        ('pattern = " "\ntools = { calculate = "ask" }', "session pattern"),
        ('tools = { calculate = "maybe" }', "must be one of allow, ask, deny"),
        ('origins = ["web"]\ntools = { calculate = "ask" }', "must be one of api, cli, group, dm"),
        ('tools = { calculate = "ask" }\ncalls_per_turn = 0', "policy[0].calls_per_turn"),
        ('pattern = "x"', "missing required field tools"),
        ('tool = { calculate = "ask" }\ntools = {}', "did you mean"),
    ],
)
def test_what_is_no_policy_stops_the_start_and_says_why(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        policy_of(tmp_path, f"[[policy]]\n{table}\n")
    assert says in error.value.message, error.value.message
    assert "\n" not in error.value.message
