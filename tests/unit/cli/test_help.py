import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanobot.cli.main import COMMANDS
from tests.unit.cli.commandline import Nanobot


def test_help_loads_neither_the_server_nor_a_library_that_is_slow_to_load() -> None:
    """That is what makes it fast; the time itself depends on the machine."""
    code = (
        "import sys; from nanobot.cli.main import main\n"
        "sys.argv = ['nanobot', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded and "chat" in done.stdout
    slow = {
        "nanobot.app",
        "nanobot.config",
        "aiohttp",
        "asyncio",
        "msgspec",
        "prompt_toolkit",
        "rich",
        "sqlite3",
        "starlette",
        "uvicorn",
    }
    assert not loaded & slow


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page_that_says_what_the_table_says(nanobot: Nanobot, name: str) -> None:
    ran = nanobot(name, "--help")
    assert ran.status == 0
    assert ran.out.startswith("Usage:")


def test_an_unknown_command_is_one_line_with_status_2(nanobot: Nanobot) -> None:
    ran = nanobot("dance")
    assert ran.status == 2
    assert "No such command 'dance'" in ran.err


@pytest.mark.parametrize("words", [["keys", "create"], ["serve"], ["sessions"], []])
def test_help_shows_what_the_option_shows(nanobot: Nanobot, words: list[str]) -> None:
    assert nanobot("help", *words) == nanobot(*words, "--help")


def test_help_on_an_unknown_command_is_an_error_with_status_2(nanobot: Nanobot) -> None:
    for words in (["dance"], ["keys", "dance"], ["serve", "dance"]):
        ran = nanobot("help", *words)
        assert ran.status == 2 and "has no command 'dance'" in ran.err


def completed(shell: str, words: str, tmp_path: Path, typed: str) -> list[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path.cwd()),
        "_NANOBOT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": typed if shell == "fish" else str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from nanobot.cli.main import nanobot; nanobot.main(prog_name='nanobot')"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_shells_complete_commands_and_options(tmp_path: Path) -> None:
    assert completed("bash", "nanobot ser", tmp_path, "ser") == ["plain,serve"]
    assert {"plain,create", "plain,list"} <= set(completed("bash", "nanobot keys ", tmp_path, ""))
    assert completed("bash", "nanobot help ke", tmp_path, "ke") == ["plain,keys"]
    assert completed("bash", "nanobot help keys cr", tmp_path, "cr") == ["plain,create"]
    assert "plain,--tls-cert" in completed("bash", "nanobot serve --tls", tmp_path, "--tls")
    assert "serve" in completed("zsh", "nanobot ser", tmp_path, "ser")
    assert completed("fish", "nanobot ser", tmp_path, "ser")[0].startswith("plain,serve")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_group_says_what_its_commands_do_in_whole_sentences(
    nanobot: Nanobot, name: str
) -> None:
    assert "..." not in nanobot(name, "--help").out.partition("Commands:")[2]
