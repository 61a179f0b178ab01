"""/v1/approvals and /v1/approval-rules: calls of tools that a person is asked about.

An approval of a session that the caller may not see, or that is not the one which the request names, is
answered exactly as one that does not exist.
"""

from functools import partial

import msgspec
from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.api.approval_links import ApprovalLinks
from nanobot.api.paging import PAGING, limit_of, order_of
from nanobot.api.settings import ApiSettings
from nanobot.api.wire.approvals import (
    ApprovalDecision,
    ApprovalObject,
    ApprovalRuleDeleted,
    ApprovalRuleObject,
    approval_object,
    rule_object,
)
from nanobot.api.wire.decoding import decode
from nanobot.api.wire.lists import Page, encode
from nanobot.core import tool_question
from nanobot.core.accounts import check_pattern, matches
from nanobot.core.approvals import Approval, ApprovalFilter, ApprovalRule, ApprovalState
from nanobot.core.errors import (
    ApprovalClosed,
    ApprovalNotFound,
    ApprovalRuleNotFound,
    BadSessionKey,
    BodyTooLarge,
    ConfigError,
    InvalidRequest,
    MissingRight,
    SessionNotFound,
)
from nanobot.core.sessions import SessionFilter
from nanobot.core.store import Store
from nanobot.http.operations import Operation, Parameter
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.http.session_key import SESSION_KEY, KeyReader

_STATES: tuple[ApprovalState, ...] = ("pending", "approved", "denied", "expired")
_read_decision = msgspec.json.Decoder(ApprovalDecision)


class ApprovalRoutes:
    """The operations on approvals and their rules."""

    def __init__(self, store: Store, keys: KeyReader, settings: ApiSettings, links: ApprovalLinks) -> None:
        self._store = store
        self._links = links
        self._keys = keys
        self._bodies = settings.json_bodies()

    async def list(self, request: Request, send: Send) -> None:
        """GET /v1/approvals"""
        query, limit = request.query(), limit_of(request.query())
        state = query.one_of("state", ("all", *_STATES), default="all")
        after = query.text("after")
        if after is not None:
            await self._find(request, after)
        matching = ApprovalFilter(
            SessionFilter(request.caller.patterns),
            self._keys.named(request.headers, request.caller),
            next((each for each in _STATES if each == state), None),
        )
        # One more than the limit shows that there is another page.
        found = await self._store.approvals(matching, limit=limit + 1, after=after, order=order_of(query))
        shown = tuple(self._shown(request, each) for each in found[:limit])
        first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
        page = Page(data=shown, first_id=first, last_id=last, has_more=len(found) > limit)
        await answer(send, 200, encode(page))

    async def show(self, request: Request, send: Send) -> None:
        """GET /v1/approvals/{approval_id}"""
        await answer(send, 200, encode(self._shown(request, await self._named(request))))

    async def decide(self, request: Request, send: Send) -> None:
        """POST /v1/approvals/{approval_id}"""
        approval = await self._named(request)
        wanted, _ = await self._bodies.read(request, lambda body: decode(body, _read_decision))
        if wanted.decision == "rule":
            check_rule(request.caller, approval, wanted.pattern)
        elif wanted.pattern is not None:
            raise InvalidRequest("pattern goes with decision 'rule' only: leave it out", param="pattern")
        try:
            content = tool_question.decided(approval.question, wanted.decision, wanted.content)
        except ValueError as error:
            raise InvalidRequest(str(error), param="content") from error
        decided = await self._store.decide_approval(
            approval.id,
            wanted.decision,
            by=request.caller.key_id or "api",
            pattern=wanted.pattern,
            content=content,
        )
        await answer(send, 200, encode(self._shown(request, decided)))

    def _shown(self, request: Request, approval: Approval) -> ApprovalObject:
        """Return the approval, with its link for those who may decide on it."""
        may_decide = approval.state == "pending" and "chat" in request.caller.rights
        return approval_object(approval, self._links.link(request, approval.id) if may_decide else None)

    async def _named(self, request: Request) -> Approval:
        approval = await self._find(request, request.path_params["approval_id"])
        request.session_key = approval.session_key
        return approval

    async def _find(self, request: Request, approval_id: str) -> Approval:
        """Return the approval.

        Raises:
            ApprovalNotFound: there is none that the caller may see, or none in the session that it names.
        """
        named = self._keys.named(request.headers, request.caller)
        approval = await self._store.approval(approval_id)
        if not request.caller.sees(approval.session_key) or named not in (None, approval.session_key):
            raise ApprovalNotFound(f"no approval {approval_id[:80]!r} here")
        return approval

    # Rules ----------------------------------------------------------------------------------------

    async def rules(self, request: Request, send: Send) -> None:
        """GET /v1/approval-rules"""
        found = await self._store.approval_rules(SessionFilter(request.caller.patterns))
        shown = tuple(rule_object(rule) for rule in found if _sees_rule(request.caller, rule))
        first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
        await answer(send, 200, encode(Page(data=shown, first_id=first, last_id=last, has_more=False)))

    async def revoke(self, request: Request, send: Send) -> None:
        """DELETE /v1/approval-rules/{rule_id}"""
        rule_id = request.path_params["rule_id"]
        rules = await self._store.approval_rules(SessionFilter(request.caller.patterns))
        rule = next((each for each in rules if each.id == rule_id and _sees_rule(request.caller, each)), None)
        if rule is None:
            raise ApprovalRuleNotFound(f"no approval rule {rule_id[:80]!r} here")
        if rule.pattern is not None and "admin" not in request.caller.rights:
            raise MissingRight(f"this API key may not revoke {rule_id}: it needs the right 'admin'")
        await self._store.revoke_approval_rule(rule_id)
        await answer(send, 200, encode(ApprovalRuleDeleted(id=rule_id)))


def _sees_rule(caller: Caller, rule: ApprovalRule) -> bool:
    """Return whether the caller may see the rule: one for a pattern only where it may see all of that."""
    if rule.session_key is not None:
        return caller.sees(rule.session_key)
    return rule.pattern is not None and caller.sees_pattern(rule.pattern)


def check_rule(caller: Caller, approval: Approval, pattern: str | None) -> None:
    """Return where the caller may make a rule for the pattern.

    Raises:
        InvalidRequest: it is not valid, or the approval's own session does not match it.
        MissingRight: the caller is no administrator of all its sessions.
    """
    if pattern is None:
        raise InvalidRequest(
            "a rule needs a pattern of session keys, as wx:dm:*; for this session only, decide 'session'",
            param="pattern",
        )
    try:
        check_pattern(pattern, "pattern")
    except ConfigError as error:
        raise InvalidRequest(error.message, param="pattern") from error
    if not matches(approval.session_key, pattern):
        raise InvalidRequest(
            f"pattern is {pattern!r}: it must match the session of the approval, {approval.session_key!r}",
            param="pattern",
        )
    if "admin" not in caller.rights or not caller.sees_pattern(pattern):
        raise MissingRight(
            f"this API key may not make a rule for {pattern!r}: it needs the right 'admin' and must see all"
            " such sessions"
        )


def operations(
    store: Store, keys: KeyReader, settings: ApiSettings, links: ApprovalLinks
) -> tuple[Operation, ...]:
    """Return the operations on approvals and their rules."""
    routes = ApprovalRoutes(store, keys, settings, links)
    offered = partial(Operation, tag="Approvals")
    one = "/v1/approvals/{approval_id}"
    lost = (ApprovalNotFound, BadSessionKey, SessionNotFound, InvalidRequest)
    key = msgspec.structs.replace(SESSION_KEY, description="only approvals of this conversation")
    return (
        offered(
            method="GET",
            path="/v1/approvals",
            run=routes.list,
            summary="List the calls that a person is, or was, asked about",
            right="sessions:read",
            parameters=(
                *PAGING,
                Parameter(
                    "state",
                    "query",
                    "only those that stand so",
                    {"enum": ["all", *_STATES], "default": "all"},
                ),
                key,
            ),
            answers={200: Page[ApprovalObject]},
            errors=lost,
            links={"approval_id": "$response.body#/last_id"},
        ),
        offered(
            method="GET",
            path=one,
            run=routes.show,
            summary="A call that a person is, or was, asked about",
            right="chat",
            parameters=(key,),
            answers={200: ApprovalObject},
            errors=lost,
        ),
        offered(
            method="POST",
            path=one,
            run=routes.decide,
            summary="Agree to a call, or refuse it",
            right="chat",
            parameters=(key,),
            body=ApprovalDecision,
            answers={200: ApprovalObject},
            errors=(*lost, ApprovalClosed, BodyTooLarge, MissingRight),
        ),
        offered(
            method="GET",
            path="/v1/approval-rules",
            run=routes.rules,
            summary="List what was agreed to for longer",
            right="sessions:read",
            answers={200: Page[ApprovalRuleObject]},
            links={"rule_id": "$response.body#/last_id"},
        ),
        offered(
            method="DELETE",
            path="/v1/approval-rules/{rule_id}",
            run=routes.revoke,
            summary="Take back what was agreed to for longer",
            right="chat",
            answers={200: ApprovalRuleDeleted},
            errors=(ApprovalRuleNotFound, MissingRight),
        ),
    )
