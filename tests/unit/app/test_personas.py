"""Who answers in which sessions, from the settings and from the files that they name."""

import os
from pathlib import Path

import pytest

from nanobot.app.personas import MOST_INSTRUCTIONS_CHARS, PersonasInUse, SettingsSource, read_personas
from nanobot.config import Config, load
from nanobot.core.errors import ConfigError
from nanobot.core.persona import PLAIN, Persona, Personas

TOOLS = ("calculate", "current_time")


def settings_of(folder: Path, text: str) -> Config:
    (folder / "nanobot.toml").write_text(text)
    return load(folder / "nanobot.toml", {}, {})


def personas_of(folder: Path, text: str) -> Personas:
    return Personas(*read_personas(settings_of(folder, text), ("fast",), TOOLS))


def test_without_settings_it_is_nanobot_that_answers(tmp_path: Path) -> None:
    assert personas_of(tmp_path, "").of("wx:dm:ann") is PLAIN


def test_the_first_pattern_decides_and_what_it_does_not_say_is_as_for_all(
    tmp_path: Path,
) -> None:
    personas = personas_of(
        tmp_path,
        """
        [agent]
        name = "Ada"
        language = "German"
        [[agents]]
        pattern = "wx:group:sales:*"
        instructions = "Sell."
        model = "nanobot:fast"
        tools = ["calculate"]
        [[agents]]
        pattern = "wx:*"
        name = "Bo"
        """,
    )
    assert personas.of("tg:dm:ann") == Persona("Ada", language="German")
    assert personas.of("wx:dm:ann") == Persona("Bo", language="German")
    assert personas.of("wx:group:sales:user:ann") == Persona(
        "Ada", "Sell.", "German", "fast", frozenset({"calculate"})
    )


def test_a_persona_file_is_looked_for_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "persona.md").write_text("\ufeffYou love birds.\n")
    personas = personas_of(tmp_path, '[agent]\ninstructions_file = "persona.md"\n')
    assert personas.of("x").instructions == "You love birds."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[agent]\ninstructions_file = "gone.md"', "agent.instructions_file '.*gone.md' cannot be read"),
        ('[agent]\ninstructions_file = "long.md"', "at most 20000 are allowed"),
        ('[agent]\ninstructions = "a"\ninstructions_file = "long.md"', "keep one of them"),
        ('[agent]\ntools = ["shell"]', "agent.tools: there is no tool 'shell': the tools are calculate"),
        ('[[agents]]\npattern = "x"\nmodel = "slow"', r"agents\[0\].model: there is no preset 'slow'"),
        ('[[agents]]\npattern = ""', r"agents\[0\]: session pattern"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_way_out(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "long.md").write_text("x" * (MOST_INSTRUCTIONS_CHARS + 1))
    with pytest.raises(ConfigError, match=said):
        personas_of(tmp_path, text)


class Running:
    """The personas of a server whose settings are in `folder`."""

    def __init__(self, folder: Path, text: str) -> None:
        self._folder = folder
        self._changes = 0
        config = settings_of(folder, text)
        file = folder / "nanobot.toml"
        self.in_use = PersonasInUse(config, (), TOOLS, SettingsSource(file, lambda: load(file, {}, {})))

    def write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.write_text(text)
        # Two changes within the resolution of the file system's clock are still two.
        self._changes += 1
        os.utime(path, (self._changes, self._changes))

    async def name(self) -> str:
        await self.in_use.refresh()
        return self.in_use.personas.of("x").name


async def test_changed_settings_are_in_use_without_a_restart(tmp_path: Path) -> None:
    running = Running(tmp_path, '[agent]\nname = "Ada"\n')
    running.write("nanobot.toml", '[agent]\nname = "Bo"\n')
    assert await running.name() == "Bo"


async def test_a_changed_persona_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "persona.md").write_text("Be brief.")
    running = Running(tmp_path, '[agent]\ninstructions_file = "persona.md"\n')
    running.write("persona.md", "Be kind.")
    await running.in_use.refresh()
    assert running.in_use.personas.of("x").instructions == "Be kind."


async def test_a_bad_file_keeps_the_old_persona_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(tmp_path, '[agent]\nname = "Ada"\n')
    running.write("nanobot.toml", "[agent\n")
    assert await running.name() == "Ada"
    assert await running.name() == "Ada"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "not valid TOML" in caplog.text
    running.write("nanobot.toml", '[agent]\nname = "Bo"\n')
    assert await running.name() == "Bo"
