import subprocess
import sys

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
