"""Layers: what many people tell in private chats and in groups, and which of it a model finds that looks for
all it can find with every tool.
"""

import asyncio

from nanobot.config import Config
from nanobot.isolation.layer_audit import LayerOptions
from nanobot.isolation.layers import LayerReport, run_layer_audit

SEED = 11


def tables(options: LayerOptions | None = None) -> str:
    """Run the audit of people; return its figures as Markdown."""
    report = asyncio.run(run_layer_audit(Config(), options or LayerOptions(seed=SEED)))
    return table(report)


def table(report: LayerReport) -> str:
    """Return the figures of a run as a table."""
    rows = (
        ("people; groups; sessions", f"{report.people}; {report.groups}; {report.sessions}"),
        ("linked accounts; people erased", f"{report.links}; {report.erased}"),
        ("prompts; HTTP requests", f"{report.prompts:,}; {report.requests:,}"),
        ("secrets of other sessions of the same layer in prompts", f"{report.told:,}"),
        ("prompts with noted facts that a tool had found", f"{report.recalled:,}"),
        ("sessions that were shown none, although there were some", f"{report.unseen:,}"),
        ("**secrets of others in prompts and answers**", f"**{len(report.leaks):,}**"),
    )
    return "\n".join(["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows)])
