"""An audit of people and groups: what each session tells the agent reaches the turns of its own layers only.

Each person has a private chat, some a second account that is linked by a code, and is in some groups. Every
session tells a secret in the same words; then every session asks for it, with a model that searches for all
it can find.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from nanobot.app import App, Models, open_app
from nanobot.config import Config, KeyTable
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.client import InspectingClient, Leak, Requester, http_session
from nanobot.isolation.layer_audit import AuditedSession, LayerAudit, LayerOptions, make_sessions
from nanobot.isolation.run import isolated_config
from nanobot.isolation.searching_model import SearchingModel
from nanobot.isolation.server import serve_on_free_port
from nanobot.isolation.tenants import exact_pattern, hash_of

_REFUSAL_S = 10.0
_LOOK_S = 0.5


class LayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run. `told`: how often a turn was shown another session's secret that it may be shown,
    `recalled`: how often facts were found by a tool, `unseen`: how many sessions were shown none although
    they may be; `erased`: how many people were.
    """

    people: int
    groups: int
    sessions: int
    links: int
    erased: int
    seed: int
    seconds: float
    prompts: int
    told: int
    recalled: int
    unseen: int
    requests: int
    leaks: Sequence[Leak]

    @property
    def is_clean(self) -> bool:
        """Whether nothing leaked, and what may be seen was seen: else its absence would prove nothing."""
        return not self.leaks and self.told > 0


def layer_lines(report: LayerReport) -> Iterator[str]:
    """Yield the report as lines of text."""
    yield (
        f"{report.people} people in {report.groups} groups: {report.sessions} sessions, {report.links} linked"
        f" accounts, {report.erased} people erased"
    )
    yield (
        f"{report.prompts} prompts; {report.told} times a turn was shown a secret of another session of its"
        f" layer, {report.recalled} times a tool found noted facts, {report.unseen} sessions were shown none"
    )
    yield f"{report.requests} requests in {report.seconds:.0f} s"
    for leak in report.leaks[:50]:
        yield f"LEAK ({leak.kind}): {leak.where}: {leak.requester} {leak.detail}".rstrip()
    yield f"{len(report.leaks)} leaks, seed {report.seed}"


async def run_layer_audit(
    config: Config, options: LayerOptions, show_progress: Callable[[str], None] = lambda _: None
) -> LayerReport:
    """Run an audit with the settings of `config`, and return what it found; the data directory of `config` is
    not touched.

    Raises:
        ConfigError, StoreError: the app cannot be opened with these settings.
    """
    rng = random.Random(options.seed)  # noqa: S311 - secrets of a server that is gone afterwards
    canaries = Canaries(rng)
    sessions = make_sessions(options, canaries, rng)
    tokens = [f"nb-{rng.getrandbits(256):064x}" for _ in range(options.people)]
    operator = Requester("the operator", f"nb-{rng.getrandbits(256):064x}")
    model, started = SearchingModel(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nanobot-audit-", ignore_cleanup_errors=True) as folder:
        keys = _keys(sessions, tokens, operator)
        isolated = isolated_config(config, Path(folder), keys, options.parallel)
        recall = msgspec.structs.replace(isolated.recall, people=True)
        isolated = msgspec.structs.replace(isolated, recall=recall)
        async with (
            open_app(isolated, Models(model, dict.fromkeys(config.models, model))) as app,
            serve_on_free_port(app.asgi) as origin,
            http_session() as http,
        ):
            client = InspectingClient(http, origin, canaries, _REFUSAL_S)
            show_progress(f"{len(sessions)} sessions tell a secret each, and ask for those of the others")
            audit = LayerAudit(
                client,
                model,
                sessions,
                tokens,
                operator,
                options,
                rng,
                app.accounts.people.refresh,
                partial(_searchable, app, has_vectors=isolated.memory.vectors),
            )
            await audit.run()
    return _report(audit, options, sessions, model, client, time.monotonic() - started)


def _report(
    audit: LayerAudit,
    options: LayerOptions,
    sessions: Sequence[AuditedSession],
    model: SearchingModel,
    client: InspectingClient,
    seconds: float,
) -> LayerReport:
    return LayerReport(
        people=options.people,
        groups=options.groups,
        sessions=len(sessions),
        links=audit.links,
        erased=audit.erased,
        seed=options.seed,
        seconds=seconds,
        prompts=model.prompts,
        told=audit.told,
        recalled=model.recalled,
        unseen=audit.unseen,
        requests=sum(client.requests.values()),
        leaks=client.leaks,
    )


def _keys(sessions: Sequence[AuditedSession], tokens: Sequence[str], operator: Requester) -> list[KeyTable]:
    """Return the API keys: of each person, which reaches exactly their sessions, and of the operator."""
    keys = [
        KeyTable(
            name=f"person {person}",
            hash=hash_of(token),
            sessions=tuple(exact_pattern(each.key) for each in sessions if each.person == person),
        )
        for person, token in enumerate(tokens)
    ]
    return [*keys, KeyTable(name="operator", hash=hash_of(operator.token or ""))]


async def _searchable(app: App, *, has_vectors: bool) -> None:
    """Return once what was said is in the index, and has vectors where they are on."""
    while not await app.store.index_messages():
        pass
    while has_vectors and await app.store.unembedded() is not None:
        await app.clock.sleep(_LOOK_S)
