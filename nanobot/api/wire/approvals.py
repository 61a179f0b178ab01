"""Approvals and their rules, as the API shows them."""

from typing import Annotated, Any

import msgspec

from nanobot.core.approvals import Approval, ApprovalAnswer, ApprovalRule
from nanobot.core.session_keys import MAX_KEY_CHARS
from nanobot.core.tool_question import FieldKind, ToolQuestion


class ApprovalChoice(msgspec.Struct, frozen=True, kw_only=True):
    value: str
    title: str


class ApprovalField(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a tool asks for. `least`, `most`: of a number its bounds, of a text how many characters,
    of choices how many.
    """

    name: str
    kind: FieldKind
    title: str
    description: str
    required: bool
    choices: tuple[ApprovalChoice, ...]
    least: float | None
    most: float | None
    format: str
    default: str | int | float | bool | tuple[str, ...] | None


class ApprovalQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool asks before its call goes on, in the words of a stranger. `fields`: what `content` of the
    decision is to have; none: `once` is enough. `link`: a page that a person is to open first.
    """

    who: str
    text: str
    fields: tuple[ApprovalField, ...]
    link: str | None


class ApprovalObject(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a person is, or was, asked about. `arguments`: JSON text, exactly as it is run. `state`:
    `pending`, `approved`, `denied` or `expired`. `decision` and what follows are null until it is decided;
    `used`: a turn has run the call, or has told the model that it was not run. `question`: what the tool
    asks in the middle of the call; null: only whether it may run. `content`: what was answered to that.
    `link`: the page where a person decides without an API key, once; null unless it is pending and the caller
    may decide.
    """

    id: str
    object: str = "approval"
    session_key: str
    turn_id: str
    call_id: str
    tool: str
    arguments: str
    asker: str | None
    created_at: float
    expires_at: float
    state: str
    decision: str | None
    decided_at: float | None
    decided_by: str | None
    used: bool
    question: ApprovalQuestion | None
    content: dict[str, Any] | None
    link: str | None


class ApprovalRuleObject(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed to for longer: calls of `tool` run without a question in the session, or in all whose
    key matches `pattern`; the other one is null.
    """

    id: str
    object: str = "approval_rule"
    tool: str
    session_key: str | None
    pattern: str | None
    created_at: float
    created_by: str


class ApprovalRuleDeleted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "approval_rule"
    deleted: bool = True


class ApprovalDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`once`, `session`, `rule` (in all sessions whose key matches `pattern`) or `deny`. `content`, with
    `once`: the answer to the approval's `question`, the value of each of its fields.
    """

    decision: ApprovalAnswer
    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_CHARS)] | None = None
    content: dict[str, Any] | None = None


def approval_object(approval: Approval, link: str | None) -> ApprovalObject:
    """Return the approval as the API shows it."""
    return ApprovalObject(
        id=approval.id,
        session_key=approval.session_key,
        turn_id=approval.turn_id,
        call_id=approval.call_id,
        tool=approval.tool,
        arguments=approval.arguments,
        asker=approval.asker,
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        state=approval.state,
        decision=approval.answer,
        decided_at=approval.decided_at,
        decided_by=approval.decided_by,
        used=approval.is_used,
        question=_question(approval.question) if approval.question is not None else None,
        content=msgspec.json.decode(approval.content) if approval.content is not None else None,
        link=link,
    )


def _question(asks: ToolQuestion) -> ApprovalQuestion:
    fields = tuple(
        ApprovalField(
            name=field.name,
            kind=field.kind,
            title=field.title,
            description=field.description,
            required=field.is_required,
            choices=tuple(ApprovalChoice(value=each.value, title=each.title) for each in field.choices),
            least=field.least,
            most=field.most,
            format=field.format,
            default=field.default,
        )
        for field in asks.fields
    )
    return ApprovalQuestion(who=asks.who, text=asks.text, fields=fields, link=asks.link)


def rule_object(rule: ApprovalRule) -> ApprovalRuleObject:
    """Return the rule as the API shows it."""
    return ApprovalRuleObject(
        id=rule.id,
        tool=rule.tool,
        session_key=rule.session_key,
        pattern=rule.pattern,
        created_at=rule.created_at,
        created_by=rule.created_by,
    )
