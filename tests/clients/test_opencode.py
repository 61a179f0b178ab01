"""opencode, as released, with the recipe of docs/use/opencode.md."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.coding import repository, run, transcript
from tests.clients.node_packages import agents
from tests.clients.recipes import recipe
from tests.clients.serving import Provider, rule_based_server

TASK = """Read it, then change it.
call read {"filePath": "%(file)s"}
call edit {"filePath": "%(file)s", "oldString": "hello = 1", "newString": "hello = 2"}
answer with: Changed."""
AFTERWARDS = """call bash {"command": "cat app.py", "description": "Show it"}
answer with: Shown."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Provider]]:
    settings = recipe("opencode", "toml")
    with rule_based_server(tmp_path_factory.mktemp("served"), settings=settings) as both:
        yield both


def opencode() -> str:
    """Return the program itself: what npm puts into .bin only starts it, and needs an install script."""
    return str(max(agents().glob("opencode-*-*/bin/opencode*")))


@pytest.mark.timeout(300)
def test_a_file_is_read_and_edited_and_the_session_goes_on_in_another_process(
    address: str, provider: Provider, tmp_path: Path
) -> None:
    place = repository(tmp_path / "project")
    (place / "opencode.json").write_text(recipe("opencode", "json", address))
    own = {
        "HOME": str(tmp_path / "home"),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }

    assert "Changed." in run([opencode(), "run"], place, TASK % {"file": place / "app.py"}, **own)
    assert (place / "app.py").read_text() == "hello = 2\n"
    assert "Shown." in run([opencode(), "run", "--continue"], place, AFTERWARDS, **own)

    messages = provider.requests[-1].json["messages"]
    assert [message["role"] for message in messages[1:]] == [
        *("user", "assistant", "tool", "assistant", "tool", "assistant"),
        *("user", "assistant", "tool"),
    ]
    assert "hello = 1" in messages[3]["content"]
    assert messages[-1]["content"] == "hello = 2\n"
    (session,) = httpx.get(f"{address}/v1/sessions").json()["data"]
    assert "Generate a title" in provider.requests[0].body.decode()
    assert "Generate a title" not in transcript(address, session["key"])
    assert "Changed." in transcript(address, session["key"])
