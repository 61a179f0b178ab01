"""Who answers in which sessions, as the settings say, and again when they change."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec

from nanobot.config import AgentTable, Config, PersonaTable
from nanobot.core.accounts import check_pattern
from nanobot.core.errors import ConfigError
from nanobot.core.persona import PLAIN, Persona, Personas, Rule
from nanobot.core.skill import why_no_name
from nanobot.submit.request import preset_of
from nanobot.tools.mcp.names import may_be_of

MOST_INSTRUCTIONS_CHARS = 20_000
REFRESH_S = 2.0
_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[Path, int, int], ...]


class SettingsSource(msgspec.Struct, frozen=True):
    """Where settings came from: the file, and how to read them all once more."""

    file: Path
    read: Callable[[], Config]


class PersonasInUse:
    """The personas of a running server. `refresh` looks whether the files behind them have changed.

    `presets` are the models that a persona may name, `tools` the server's own tools, `servers` the MCP
    servers that may have further ones. `personas`: the ones to keep up to date, where others have them
    already. `read_further` reads what else of the settings may change, and returns what puts it into effect;
    it raises ConfigError where that is not valid.
    """

    def __init__(
        self,
        config: Config,
        presets: Collection[str],
        tools: Collection[str],
        source: SettingsSource | None = None,
        personas: Personas | None = None,
        servers: Collection[str] = (),
        read_further: Callable[[Config], Callable[[], None]] | None = None,
    ) -> None:
        self._presets = presets
        self._tools = tools
        self._servers = servers
        self._source = source
        self._read_further = read_further
        self._files = self._watched(config)
        self._seen = _stamp(self._files)
        self.personas = personas or Personas()
        self.personas.set(*read_personas(config, presets, tools, servers))

    @property
    def is_watching(self) -> bool:
        """Whether there is a file that may change."""
        return self._source is not None

    async def refresh(self) -> None:
        """Answer as the files say now. Where one of them is not valid, nothing changes, and the log says
        why.
        """
        if self._source is not None:
            await asyncio.to_thread(self._refresh, self._source)

    def _refresh(self, source: SettingsSource) -> None:
        stamp = _stamp(self._files)
        if stamp == self._seen:
            return
        # Also where what stands there is not valid: the log says so once for each change.
        self._seen = stamp
        try:
            config = source.read()
            default, rules = read_personas(config, self._presets, self._tools, self._servers)
            take_effect = self._read_further(config) if self._read_further is not None else None
        except ConfigError as error:
            _log.error(
                "agents and policy stay as they are, the new settings are not valid: %s", error.message
            )
            return
        self._files = self._watched(config)
        self._seen = _stamp(self._files)
        self.personas.set(default, rules)
        if take_effect is not None:
            take_effect()
        _log.warning("agents and policy are as %s says now", source.file)

    def _watched(self, config: Config) -> tuple[Path, ...]:
        if self._source is None:
            return ()
        named = (table.instructions_file for table in (config.agent, *config.agents))
        return (self._source.file, *(Path(name).expanduser() for name in named if name))


def read_personas(
    config: Config, presets: Collection[str], tools: Collection[str], servers: Collection[str] = ()
) -> tuple[Persona, Sequence[Rule]]:
    """Return who answers by default, and in which sessions somebody else does.

    Raises:
        ConfigError: a setting is not valid, or a file cannot be read.
    """
    default = _persona(config.agent, PLAIN, "agent", tools, servers)
    rules: list[Rule] = []
    for number, table in enumerate(config.agents):
        where = f"agents[{number}]"
        check_pattern(table.pattern, where)
        persona = _persona(table, default, where, tools, servers)
        if table.model is not None:
            preset = preset_of(table.model)
            if preset not in presets:
                raise ConfigError(
                    f"{where}.model: there is no preset {preset!r}: add [models.{preset}], or name one of"
                    f" {', '.join(sorted(presets)) or 'none'}"
                )
            persona = msgspec.structs.replace(persona, model=preset)
        rules.append((table.pattern, persona))
    return default, rules


def _persona(
    table: AgentTable | PersonaTable,
    otherwise: Persona,
    where: str,
    tools: Collection[str],
    servers: Collection[str],
) -> Persona:
    """Return what the table says; what it does not say is as in `otherwise`."""
    missing = set(table.tools or ()) - set(tools)
    if unknown := sorted(each for each in missing if not may_be_of(each, servers)):
        raise ConfigError(
            f"{where}.tools: there is no tool {unknown[0]!r}: the tools are {', '.join(sorted(tools))}"
        )
    _check_skills(table.skills or (), where)
    instructions = _instructions(table, where)
    persona = Persona(
        name=otherwise.name if table.name is None else table.name,
        instructions=otherwise.instructions if instructions is None else instructions,
        language=otherwise.language if table.language is None else table.language,
        tools=otherwise.tools if table.tools is None else frozenset(table.tools),
        skills=otherwise.skills if table.skills is None else frozenset(table.skills),
        remembers=otherwise.remembers if table.memory is None else table.memory,
        may_instruct=otherwise.may_instruct if table.own_instructions is None else table.own_instructions,
        may_choose_model=otherwise.may_choose_model if table.own_model is None else table.own_model,
    )
    return PLAIN if persona == PLAIN else persona


def _check_skills(names: Sequence[str], where: str) -> None:
    """Check that the list has only names that a skill can have. Whether there is such a skill is not checked:
    that changes while the server runs.

    Raises:
        ConfigError
    """
    for name in names:
        if (why := why_no_name(name)) is not None:
            raise ConfigError(f"{where}.skills: {why}")


def _instructions(table: AgentTable | PersonaTable, where: str) -> str | None:
    if table.instructions_file is None:
        text, source = table.instructions, f"{where}.instructions"
    elif table.instructions is not None:
        raise ConfigError(f"{where}: instructions and instructions_file are both set: keep one of them")
    else:
        source = f"{where}.instructions_file {table.instructions_file!r}"
        text = _read(Path(table.instructions_file).expanduser(), source)
    if text is not None and len(text) > MOST_INSTRUCTIONS_CHARS:
        raise ConfigError(
            f"{source} has {len(text)} characters: at most {MOST_INSTRUCTIONS_CHARS} are allowed"
        )
    return text.strip() if text is not None else None


def _read(path: Path, source: str) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MOST_INSTRUCTIONS_CHARS + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source} cannot be read: {error}") from error


def _stamp(files: tuple[Path, ...]) -> _Stamp:
    """Return what changes with the files; one that is not there counts as empty."""
    return tuple((path, *_state(path)) for path in files)


def _state(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size
