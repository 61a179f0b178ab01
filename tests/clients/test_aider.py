"""aider, as released, with the recipe of docs/use/aider.md."""

from pathlib import Path

import pytest

from tests.clients.coding import repository, run, transcript
from tests.clients.python_packages import programs
from tests.clients.recipes import recipe
from tests.clients.serving import Provider

CHANGE = """Change it.
answer with: Changed.

app.py
```
<<<<<<< SEARCH
hello = %d
=======
hello = %d
>>>>>>> REPLACE
```
end of answer"""
FILES = "*added these files to the chat*"
QUIET = "--analytics-disable --no-check-update --no-show-release-notes --yes-always --restore-chat-history"


@pytest.mark.timeout(300)
def test_a_file_is_edited_and_the_chat_goes_on_in_another_process(
    address: str, key: str, provider: Provider, tmp_path: Path
) -> None:
    place = repository(tmp_path / "project")
    settings = recipe("aider", "yaml").replace("aider:dm:alice", key)
    (place / ".aider.model.settings.yml").write_text(settings)
    (place / ".aider.model.metadata.json").write_text(recipe("aider", "json"))
    command = f'{programs("aider") / "aider"} {QUIET} --message "$0" app.py '
    script = recipe("aider", "sh", address).replace("aider ", command)

    run(["bash", "-euc", script, CHANGE % (1, 2)], place, HOME=str(tmp_path))
    assert (place / "app.py").read_text() == "hello = 2\n"
    run(["bash", "-euc", script, CHANGE % (2, 3)], place, HOME=str(tmp_path))
    assert (place / "app.py").read_text() == "hello = 3\n"
    assert len(run(["git", "log", "--oneline"], place).splitlines()) == 3

    asked = [request.json["messages"] for request in provider.requests]
    commits = [messages for messages in asked if "commit messages" in messages[0]["content"]]
    assert (len(asked), len(commits)) == (4, 2)
    first_chat, last_chat = (messages for messages in asked if messages not in commits)
    assert [text for text in contents(last_chat) if FILES in text] == [
        text.replace("hello = 1", "hello = 2") for text in contents(first_chat) if FILES in text
    ]
    assert "Changed." in contents(last_chat)[-4]
    assert "commit messages" not in transcript(address, key)


def contents(messages: list[dict[str, str]]) -> list[str]:
    return [message["content"] for message in messages]
