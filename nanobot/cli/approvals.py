"""`nanobot approvals list|approve|answer|deny|rules|revoke`: they work beside a running server."""

import datetime
from pathlib import Path
from typing import get_args

import click
import msgspec

from nanobot.api.wire.approvals import approval_object, rule_object
from nanobot.cli import audit_log
from nanobot.cli.group import Group
from nanobot.cli.options import CONFIG, DATA, settings
from nanobot.cli.store import offline_store
from nanobot.cli.terminal import neutral
from nanobot.config import Config
from nanobot.core.accounts import check_pattern, matches
from nanobot.core.approvals import Approval, ApprovalAnswer, ApprovalFilter, ApprovalState
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError
from nanobot.core.tool_question import ToolQuestion, decided, read_values, wanted
from nanobot.core.unseen import escaped, without_unseen

_MOST_LISTED = 200


@click.group("approvals", cls=Group)
def command() -> None:
    """List, approve and deny the calls of tools that wait for a person, also while a server runs."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice((*get_args(ApprovalState), "all")),
    default="pending",
    help="Only those that stand so [pending].",
)
@click.option("--session", metavar="KEY", help="Only those of this conversation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def list_(state: str, session: str | None, as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List calls that a person is, or was, asked about: newest first, with all of their arguments."""
    config = settings(config_file, server={"data": data})
    wanted = next((each for each in get_args(ApprovalState) if each == state), None)
    with offline_store(config).open_readonly() as store:
        found = store.approvals(
            ApprovalFilter(session_key=session, state=wanted), now=SystemClock().now(), limit=_MOST_LISTED
        )
    if as_json:
        click.echo(msgspec.json.encode([approval_object(each, None) for each in found]))
        return
    if not found:
        click.echo("no call waits for an approval" if state == "pending" else "there is none")
    for approval in found:
        click.echo(_described(approval))


@command.command("approve")
@click.argument("approval_id", metavar="ID")
@click.option("--session", is_flag=True, help="Also let the tool run from now on in this conversation.")
@click.option(
    "--pattern",
    metavar="PATTERN",
    help="Also let the tool run from now on in all conversations of this pattern, e.g. 'wx:dm:*'.",
)
@CONFIG
@DATA
def approve(
    approval_id: str, session: bool, pattern: str | None, config_file: Path | None, data: str | None
) -> None:
    """Agree to the call ID; it is run when the conversation goes on."""
    if session and pattern is not None:
        raise click.UsageError("--session is for one conversation, --pattern for many: choose one")
    answer: ApprovalAnswer = "session" if session else "rule" if pattern is not None else "once"
    approval = decide(settings(config_file, server={"data": data}), approval_id, answer, pattern)
    click.echo(
        f"{approval.id} is approved: it is run with the next message of {neutral(approval.session_key)}"
    )


@command.command("answer")
@click.argument("approval_id", metavar="ID")
@click.argument("values", metavar="[FIELD=VALUE]...", nargs=-1)
@CONFIG
@DATA
def answer_(approval_id: str, values: tuple[str, ...], config_file: Path | None, data: str | None) -> None:
    """Answer what a tool asks in the middle of the call ID; it goes on when the conversation does."""
    fields = dict(_value(each) for each in values)
    approval = decide(settings(config_file, server={"data": data}), approval_id, "once", None, fields)
    click.echo(
        f"{approval.id} is answered: the call goes on with the next message of"
        f" {neutral(approval.session_key)}"
    )


def _value(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"{text!r} is no FIELD=VALUE")
    return name, value


@command.command("deny")
@click.argument("approval_id", metavar="ID")
@CONFIG
@DATA
def deny(approval_id: str, config_file: Path | None, data: str | None) -> None:
    """Refuse the call ID; an approval can be taken back until the call is run."""
    approval = decide(settings(config_file, server={"data": data}), approval_id, "deny", None)
    click.echo(f"{approval.id} is denied")


@command.command("rules")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@CONFIG
@DATA
def rules(as_json: bool, config_file: Path | None, data: str | None) -> None:
    """List what was agreed to for longer than one call."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).open_readonly() as store:
        found = store.approval_rules()
    if as_json:
        click.echo(msgspec.json.encode([rule_object(each) for each in found]))
        return
    if not found:
        click.echo("no tool was allowed for longer than one call")
    for rule in found:
        where = rule.session_key if rule.session_key is not None else f"all of {rule.pattern}"
        click.echo(
            f"{rule.id}  {neutral(rule.tool)} in {neutral(where)}, by {neutral(rule.created_by)},"
            f" {_time(rule.created_at)}"
        )


@command.command("revoke")
@click.argument("rule_id", metavar="RULE")
@CONFIG
@DATA
def revoke(rule_id: str, config_file: Path | None, data: str | None) -> None:
    """Take back RULE: the tool is asked about again."""
    config = settings(config_file, server={"data": data})
    with offline_store(config).write_approvals() as writer:
        rule = writer.revoke_rule(rule_id)
    audit_log.record(config, "nanobot approvals revoke", session_key=rule.session_key, target=rule.id)
    click.echo(f"{rule.id} is revoked: {neutral(rule.tool)} is asked about again")


def decide(
    config: Config,
    approval_id: str,
    answer: ApprovalAnswer,
    pattern: str | None,
    values: dict[str, str] | None = None,
) -> Approval:
    """Decide on the approval, and write it into the audit log. `values`: what is answered to its question.

    Raises:
        ConfigError: the pattern is not valid, or does not match the approval's session; or the answer is
            none to what is asked.
        ApprovalNotFound, ApprovalClosed, StoreError
    """
    if pattern is not None:
        check_pattern(pattern, "--pattern")
    now = SystemClock().now()
    with offline_store(config).write_approvals() as writer:
        asks = writer.approval(approval_id, now=now).question
        try:
            content = decided(asks, answer, read_values(asks, values or {}))
        except ValueError as error:
            raise ConfigError(f"{approval_id}: {error}") from error
        approval = writer.decide(
            approval_id, answer, by=audit_log.who(), now=now, pattern=pattern, content=content
        )
        if pattern is not None and not matches(approval.session_key, pattern):
            raise ConfigError(
                f"--pattern {pattern!r} does not match the conversation of the call, {approval.session_key!r}"
            )
    operation = f"nanobot approvals {'deny' if answer == 'deny' else 'approve'}"
    audit_log.record(config, operation, session_key=approval.session_key, target=approval.id)
    return approval


def _described(approval: Approval) -> str:
    until = f" until {_time(approval.expires_at)}" if approval.state == "pending" else ""
    answer = f" ({approval.answer})" if approval.state == "approved" else ""
    by = f" by {neutral(approval.decided_by)}" if approval.decided_by is not None else ""
    asker = f" for {_seen(approval.asker)}" if approval.asker is not None else ""
    asks = f"\n  {_asked(approval.question)}" if approval.question is not None else ""
    return (
        f"{approval.id}  {approval.state}{answer}{by}{until}\n"
        f"  {_seen(approval.session_key)}{asker}: {neutral(approval.tool)} {_seen(approval.arguments)}{asks}"
    )


def _asked(asks: ToolQuestion) -> str:
    fields = "".join(f"\n    {_seen(field.name)}: {_seen(wanted(field))}" for field in asks.fields)
    link = f" {_seen(asks.link)}" if asks.link is not None else ""
    return f"{_seen(asks.who)} asks: {_seen(asks.text)}{link}{fields}"


def _time(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _seen(text: str) -> str:
    """Return the text as one line that shows all of it: it is agreed to as it is read here."""
    return neutral(without_unseen(text.replace("\n", " "), escaped))
