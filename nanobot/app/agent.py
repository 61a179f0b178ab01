"""The agent of a server: its tools, who it is in which session, and what it may do there."""

from __future__ import annotations

from functools import partial

from nanobot.agent.loop import Agent
from nanobot.agent.permissions import Permissions
from nanobot.agent.recaller import Recaller
from nanobot.agent.toolset import Toolset
from nanobot.app import settings
from nanobot.app.models import is_small
from nanobot.app.personas import PersonasInUse
from nanobot.app.policy import approval_settings, policy_rules
from nanobot.app.reading import Reading
from nanobot.app.resources import AppResources
from nanobot.app.tools import all_tools, web_tools, workspace_tools
from nanobot.core.policy import Policy
from nanobot.core.recall import OtherSessions
from nanobot.core.tool import Tool
from nanobot.tools.delegate import Delegations, delegate
from nanobot.tools.mcp.names import group_of
from nanobot.tools.memory import memory_tools
from nanobot.tools.sharing import share_fact
from nanobot.tools.workspace.files import AgentFiles


def make_toolset(
    resources: AppResources, reading: Reading, delegations: Delegations, others: OtherSessions | None
) -> Toolset:
    """Return the tools of the agent; those of MCP servers come and go. `others`: the further sessions that a
    turn may be told of.

    Raises:
        ConfigError: what a tool needs is not there.
    """
    toolset = Toolset(_tools(resources, reading, delegations, others), resources.observer)
    if resources.mcp is not None:
        resources.mcp.follow(lambda server, offered: toolset.replace(group_of(server), offered))
    return toolset


def make_policy(resources: AppResources, toolset: Toolset) -> Policy:
    """Return which tools may be called where.

    Raises:
        ConfigError: a rule is not valid.
    """
    return Policy(policy_rules(resources.config, toolset.tools, _servers(resources)))


def make_personas(resources: AppResources, toolset: Toolset, policy: Policy) -> PersonasInUse:
    """Return who answers in which sessions. Both they and `policy` change with the settings.

    Raises:
        ConfigError: a persona is not valid.
    """
    servers = _servers(resources)
    return PersonasInUse(
        resources.config,
        resources.models.names,
        toolset.names,
        resources.source,
        resources.personas,
        servers,
        lambda changed: partial(policy.set, policy_rules(changed, toolset.tools, servers)),
    )


def make_agent(
    resources: AppResources, reading: Reading, toolset: Toolset, policy: Policy, others: OtherSessions | None
) -> Agent:
    """Return the agent. `others`: the further sessions that a turn may be told of."""
    config, store, clock = resources.config, resources.store, resources.clock
    approvals = approval_settings(config)
    return Agent(
        toolset,
        clock,
        settings.agent_settings(config, resources.models),
        reading.schemas,
        resources.observer,
        secret=resources.secret,
        personas=resources.personas,
        recaller=Recaller(store, tokens=config.recall.tokens, others=others, has_own=is_small),
        permissions=Permissions(policy, store, clock, resources.randomness, approvals, resources.audit),
        skills=resources.skills.indexes if resources.skills is not None else None,
    )


def _servers(resources: AppResources) -> tuple[str, ...]:
    """Return the names of the MCP servers."""
    return tuple(resources.mcp.settings) if resources.mcp is not None else ()


def _tools(
    resources: AppResources, reading: Reading, delegations: Delegations, others: OtherSessions | None
) -> tuple[Tool, ...]:
    config, store = resources.config, resources.store
    clock, randomness = resources.clock, resources.randomness
    workspaces, mcp = resources.workspaces, resources.mcp
    files = AgentFiles(workspaces, store) if workspaces is not None else None
    further = (
        *((delegate(delegations, files),) if config.delegation.max_parts else ()),
        *_memory_tools(resources),
        *workspace_tools(files, reading.workers),
        *_skill_tools(resources, files, reading),
        *web_tools(config.web, reading.fetcher, reading.documents, randomness, reads_urls=config.files.fetch),
        *resources.tools,
        *(mcp.tools if mcp is not None else ()),
    )
    return all_tools(
        clock,
        store,
        reading.documents,
        further,
        recall_result_tokens=config.recall.result_tokens,
        files=files,
        others=others,
    )


def _skill_tools(resources: AppResources, files: AgentFiles | None, reading: Reading) -> tuple[Tool, ...]:
    if resources.skills is None:
        return ()
    has_commands = any(tool.group == "shell" for tool in resources.tools)
    return resources.skills.tools(files, reading.workers, resources.randomness, has_commands=has_commands)


def _memory_tools(resources: AppResources) -> tuple[Tool, ...]:
    config, store = resources.config, resources.store
    clock, randomness = resources.clock, resources.randomness
    if not config.memory.enabled:
        return ()
    sharing = share_fact(store, clock, randomness, settings.scope_rules(config).of)
    return (*memory_tools(store, clock, randomness), sharing)
