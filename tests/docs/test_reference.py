"""The documentation names everything there is, and nothing that is not."""

import random
import re
from pathlib import Path

import click
import msgspec
import pytest

from nanobot import config
from nanobot.access.admission import Gate
from nanobot.access.keyring import KeyRing
from nanobot.access.quotas import Quotas
from nanobot.api.files import FileSettings
from nanobot.api.server import ApiResources, operations
from nanobot.api.settings import ApiSettings
from nanobot.cli.main import COMMANDS, nanobot
from nanobot.core.clock import SystemClock
from nanobot.core.errors import NanobotError
from nanobot.engine.compactor import Compactor
from nanobot.reading.documents import DocumentReader
from nanobot.reading.schemas import WorkerSchemas
from nanobot.stores.sql.ports.store import SqlStore
from nanobot.stores.sqlite.writer import StoreBug
from nanobot.submit.attachments import Attachments
from nanobot.submit.deliveries import Deliveries
from nanobot.submit.followers import Followers
from nanobot.submit.submitter import Submitter
from nanobot.workers.pool import WorkerPool
from tests.docs.provider_table import provider_table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def tree(root: type[NanobotError]) -> set[type[NanobotError]]:
    own = (child for child in root.__subclasses__() if child.__module__.startswith("nanobot."))
    return {root}.union(*(tree(child) for child in own))


def offered() -> list[str]:
    # only shown to the door, never asked
    store = SqlStore.__new__(SqlStore)

    async def check() -> None: ...

    async def render() -> str:
        return ""

    clock, randomness = SystemClock(), random.Random(0)
    workers = WorkerPool()
    attachments = Attachments(store, DocumentReader(workers), None)
    schemas = WorkerSchemas(workers, 1)
    gate, followers = Gate(store, Quotas((), clock)), Followers(store, clock, 0, Deliveries(store))
    submitter = Submitter(
        store,
        gate,
        attachments,
        schemas,
        followers,
        None,
        clock,
        randomness,
        check_length=lambda _: None,
        model_of=lambda _: None,
    )
    found = operations(
        ApiResources(
            store=store,
            submitter=submitter,
            attachments=attachments,
            clock=clock,
            randomness=randomness,
            keys=KeyRing(),
            settings=ApiSettings(),
            file_settings=FileSettings(),
            check_model=check,
            render_metrics=render,
            compacting=Compactor.__new__(Compactor),
            secret=b"secret",
        )
    )
    return [f"{operation.method} {operation.path.replace(':path', '')}" for operation in found]


def test_every_route_is_described_with_its_method() -> None:
    text = read("api.md")
    for operation in offered():
        assert f"`{operation}`" in text, f"docs/api.md does not describe {operation}"


def test_every_route_described_exists() -> None:
    for described in re.findall(r"`((?:GET|POST|DELETE|PUT|PATCH) /[^`]*)`", read("api.md")):
        assert described in offered(), f"docs/api.md describes {described}, which does not exist"


def settings() -> dict[str, object]:
    found: dict[str, object] = {}
    for table in msgspec.structs.fields(config.Config):
        if isinstance(table.type, type):
            found |= {
                f"{table.name}.{setting.name}": {}
                if setting.default is msgspec.NODEFAULT
                else setting.default
                for setting in msgspec.structs.fields(table.type)
            }
    return found


def shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return "`[]`" if default == () else f"`{default}`"


def test_every_setting_is_listed_with_its_default() -> None:
    text = read("settings.md")
    for name, default in settings().items():
        assert f"| `{name}` | {shown(default)} |" in text, (
            f"docs/settings.md lacks {name} with its default {shown(default)}"
        )


def test_every_setting_listed_exists() -> None:
    listed = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", read("settings.md"), re.MULTILINE)
    assert listed and set(listed) <= set(settings())


def test_the_table_of_providers_has_the_rows_that_are_shipped() -> None:
    assert provider_table() in read("providers.md")


NOT_ON_THE_WIRE = {
    "approval_changed",
    "config_error",
    "file_refused",
    "malformed_call",
    "server_refused",
    "server_unreachable",
    "skill_error",
    "stale_attempt",
    "tool_error",
    "vectors_broken_off",
    "vectors_unavailable",
}


def test_every_error_code_is_listed_with_its_status() -> None:
    text = read("errors.md")
    for error in tree(NanobotError) - {StoreBug}:
        if error.code in NOT_ON_THE_WIRE:
            assert f"`{error.code}`" in text
        else:
            assert re.search(rf"\| `{error.code}` \| {error.http_status} \|", text), (
                f"docs/errors.md lacks {error.code} with {error.http_status}"
            )


def test_every_error_code_listed_exists() -> None:
    known = {error.code for error in tree(NanobotError)} | NOT_ON_THE_WIRE
    for code in re.findall(r"^\| `([a-z_]+)`", read("errors.md"), re.MULTILINE):
        assert code in known, f"docs/errors.md lists {code}, which does not exist"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described_with_its_options(name: str) -> None:
    text = read("commands.md")
    assert f"## `nanobot {name}" in text
    section = text.split(f"## `nanobot {name}", 1)[1].split("\n## ", 1)[0]
    command = nanobot.get_command(click.Context(nanobot), name)
    assert command is not None
    inner = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for each in inner:
        for parameter in each.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else []:
                assert f"`{option}" in section or f" {option}" in section, (
                    f"docs/commands.md does not describe {option} of {each.name}"
                )


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_the_events_of_a_stream_are_named_as_they_are_sent() -> None:
    source = (ROOT / "nanobot" / "api" / "wire" / "chunks.py").read_text(encoding="utf-8")
    sent = set(re.findall(r'b"((?:tool|approval)_[a-z]+)"', source))
    assert sent and all(f"`{name}`" in read("api.md") for name in sent)
