"""Which weights suit a machine."""

from typing import Literal

from nanobot.models.weights.installed import KNOWN, Weights
from nanobot.models.weights.machine import Machine

Fit = Literal["yes", "slow", "no"]

BEST = "best"
"""Stands for the recommended weights in `nanobot model pull`."""
_WINDOW_TOKENS = 8_192
_ENGINE_BYTES = 400_000_000
_READ_PER_CORE_S = 20e9
"""Bytes of weights that a core gets through in a second: 18 tokens of a file of 1.1 GB."""
_SLOW_TOKENS_S = 10.0


def needed_bytes(weights: Weights) -> int:
    """Return how much memory the engine takes with these weights and the usual window."""
    return weights.size_bytes + weights.kv_bytes * _WINDOW_TOKENS + _ENGINE_BYTES


def fit(weights: Weights, machine: Machine) -> Fit:
    """Return whether the weights fit into the free memory, and whether answers come at reading speed."""
    if needed_bytes(weights) > machine.free_bytes:
        return "no"
    # One core is left to the server.
    threads = max(1.0, machine.cores - 1) if machine.cores >= 1 else machine.cores
    speed = _READ_PER_CORE_S / (weights.active_bytes or weights.size_bytes) * threads
    return "yes" if speed >= _SLOW_TOKENS_S else "slow"


def recommended(machine: Machine) -> Weights | None:
    """Return the best weights for the machine; None where there is no room for any.

    By free memory and cores: from 6 GB and 4 cores on, those that answer best; below, weights of which the
    engine takes less than the memory that is free, with room for everything else.
    """
    name = (
        "local:good"
        if machine.free_bytes >= 6_000_000_000 and machine.cores >= 4
        else "local"
        if machine.free_bytes >= 2_200_000_000
        else "local:small"
        if machine.free_bytes >= 1_200_000_000
        else "local:tiny"
    )
    weights = next(each for each in KNOWN if each.name == name)
    return None if fit(weights, machine) == "no" else weights


def in_registry(machine: Machine) -> Weights | None:
    """Return the best weights for the machine that the package registry has; None where none fit."""
    return next((each for each in KNOWN if each.pins is not None and fit(each, machine) != "no"), None)
