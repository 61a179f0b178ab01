"""Nothing gets out of the sandbox, whichever layer there is, and however the server was started."""

import shutil

import pytest

from tests.escape.attempts import IN_A_NETWORK, REACHED, all_attempts
from tests.escape.run import Layer, Starter, attempt, can_run
from tests.escape.sums import EXCESSES, exceed

pytestmark = [
    pytest.mark.skipif(not can_run(), reason="needs root, who can start programs as any user, on Linux"),
    pytest.mark.timeout(550),
]
ATTEMPTS = all_attempts()
ABOUT = {("metadata", each.name) for each in ATTEMPTS if each.kind == "metadata"}
"""What Landlock does not see: that files outside are there, and how large they are, never what is in them."""
OWN = {("write", name) for name in ("change its mode", "change its owner", "change its times")}
ATTRIBUTES = ("write", "change its attributes")
"""Of files that its user owns, or may write. Where the server is root, that user owns nothing outside."""
KNOWN: dict[tuple[Starter, Layer], set[tuple[str, str]]] = {
    ("root", "bubblewrap"): set(),
    ("user", "bubblewrap"): set(),
    ("root", "bubblewrap, network"): IN_A_NETWORK,
    ("user", "bubblewrap, network"): IN_A_NETWORK,
    ("root", "launcher"): {*ABOUT, ATTRIBUTES},
    ("user", "launcher"): {*ABOUT, *OWN, ATTRIBUTES},
    ("root in a container", "launcher"): {*ABOUT, ATTRIBUTES},
    ("user in a container", "launcher"): {*ABOUT, *OWN, ATTRIBUTES},
}
LEAST = {"root": 200, "user": 150}
"""How many attempts succeed without a sandbox, at least: others show nothing."""
QUICK = (
    *("memory of six processes", "shared memory without a name", "files without a name"),
    *("nested directories", "a fork bomb", "left behind: a daemon"),
    "left behind: one that starts another and ends, again and again",
)
PAIRS: tuple[tuple[Starter, Layer], ...] = (
    ("root", "launcher"),
    ("user", "launcher"),
    ("user", "bubblewrap"),
)


@pytest.mark.parametrize("starter", LEAST)
def test_most_attempts_succeed_without_the_sandbox(starter: Starter) -> None:
    control = attempt(ATTEMPTS, starter, None)
    assert control.odd == {} and len(control.succeeded) >= LEAST[starter]


@pytest.mark.parametrize(("starter", "layer"), KNOWN)
def test_in_the_sandbox_they_are_refused(starter: Starter, layer: Layer) -> None:
    if layer != "launcher" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    outcome = attempt(ATTEMPTS, starter, layer)
    assert outcome.odd == {} and outcome.end == {"exit": 0}
    assert outcome.succeeded <= KNOWN[starter, layer]
    assert outcome.is_untouched
    # Else nothing of it would have been tried.
    assert (REACHED in outcome.succeeded) == ("network" in layer)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(("starter", "layer"), PAIRS)
def test_who_takes_too_much_or_stays_behind_is_ended(name: str, starter: Starter, layer: Layer) -> None:
    if layer == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    (excess,) = [each for each in EXCESSES if each.name == name]
    verdict = exceed(excess, starter, layer, slack=5.0)
    assert verdict.holds, verdict
