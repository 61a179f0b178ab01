"""/approve/{token}: one-time links by which a person decides on a call without an API key.

The token is the approval's id with a signature of this server, made for the API key that was shown the link:
nothing of it is stored. Whoever may decide on an approval is shown its link (`/v1/approvals`); whoever has
the link may decide, once, as long as that key may.
"""

import asyncio
import base64
import datetime
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.types import Send

from nanobot.access.caller import Caller
from nanobot.access.keyring import KeyRing
from nanobot.core import tool_question
from nanobot.core.approvals import Approval, ApprovalAnswer
from nanobot.core.clock import Clock
from nanobot.core.errors import (
    ApprovalClosed,
    ApprovalNotFound,
    BodyTooLarge,
    InvalidRequest,
    SlowRequest,
)
from nanobot.core.store import Store
from nanobot.core.tool_question import ToolQuestion
from nanobot.core.unseen import escaped, without_unseen
from nanobot.http.body import read_body
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer

if TYPE_CHECKING:
    from nanobot.api.approval_form import Typed

PATH = "/approve/{token}"
_DIGEST_BYTES = 20
_SIGNATURE_CHARS = _DIGEST_BYTES * 8 // 5
_MOST_BODY_BYTES = 1_024
_BODY_TIMEOUT_S = 10.0
_STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}main{max-width:44rem;margin:2rem auto;"
    "padding:0 1rem}pre{overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;"
    "border:1px solid;border-radius:.5rem}button{font:inherit;padding:.5rem 1.25rem;"
    "margin:0 .75rem .75rem 0;border-radius:.5rem}input,select{font:inherit;max-width:100%}"
    "fieldset{margin:1rem 0;border-radius:.5rem}[role=alert]{font-weight:bold}"
)
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = (
    (
        "content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'",
    ),
    ("cache-control", "no-store"),
    # Not `no-referrer`: browsers would then send the form without its origin, which is checked.
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-robots-tag", "noindex, nofollow"),
)
_ANSWERS: dict[str, ApprovalAnswer] = {"once": "once", "deny": "deny"}


class ApprovalLinks:
    """Makes links to approvals, and knows its own again. `secret`: what they are signed with; `keys`: those
    that may be shown one.
    """

    def __init__(self, secret: bytes, keys: KeyRing, clock: Clock) -> None:
        self._key = hashlib.blake2b(b"approval links", key=secret).digest()
        self._keys = keys
        self._clock = clock

    def path(self, approval_id: str, caller: Caller) -> str:
        """Return the path of the caller's link to an approval."""
        return PATH.replace("{token}", f"{approval_id}.{self._signature(approval_id, caller)}")

    def link(self, request: Request, approval_id: str) -> str:
        """Return the link to an approval, at the address under which the request came."""
        host = request.headers.get(b"host", b"").decode("latin-1")
        path = self.path(approval_id, request.caller)
        return f"{request.scope['scheme']}://{host}{path}" if host else path

    def opened(self, token: str) -> tuple[str, Caller]:
        """Return which approval a token is for, and whose link it is.

        Raises:
            ApprovalNotFound: it is none of this server's, or the key that was shown it is not valid any more.
        """
        approval_id, _, signature = token.rpartition(".")
        given = signature.encode("utf-8", "replace")
        if len(given) == _SIGNATURE_CHARS:
            # Each key in turn: the link does not tell which one it belongs to.
            for caller in self._keys.callers(self._clock.now()):
                if hmac.compare_digest(given, self._signature(approval_id, caller).encode()):
                    return approval_id, caller
        raise ApprovalNotFound("this link is not valid")

    def _signature(self, approval_id: str, caller: Caller) -> str:
        signed = "\0".join((approval_id, *([caller.key_id] if caller.key_id is not None else [])))
        digest = hashlib.blake2b(
            signed.encode("utf-8", "replace"), key=self._key, digest_size=_DIGEST_BYTES
        ).digest()
        return base64.b32encode(digest).decode().lower()


class ApprovalPages:
    """The page behind a link, which only asks, and what its buttons send, which decides."""

    def __init__(self, store: Store, links: ApprovalLinks) -> None:
        self._store = store
        self._links = links

    async def show(self, request: Request, send: Send) -> None:
        """GET /approve/{token}"""
        try:
            approval = await self._approval(request)
        except ApprovalNotFound:
            await _page(send, 404, "There is no such link", _GONE)
            return
        if approval.state == "pending":
            title = "May this call run?" if approval.question is None else "The tool asks you something"
            await _page(send, 200, title, _call(approval) + _buttons(approval))
        else:
            await _page(send, 200, "This is decided", _call(approval) + _standing(approval))

    async def decide(self, request: Request, send: Send) -> None:
        """POST /approve/{token}"""
        try:
            approval = await self._approval(request)
        except ApprovalNotFound:
            await _page(send, 404, "There is no such link", _GONE)
            return
        decision, typed = await _sent(request, approval.question)
        if approval.state == "pending":
            # Few tools ask, and most servers show no page at all.
            from nanobot.api.approval_form import read_form

            asks = approval.question
            try:
                content = tool_question.decided(
                    asks,
                    decision,
                    read_form(asks, typed) if asks is not None and decision == "once" else None,
                )
            except ValueError as error:
                why = f'<p role="alert">{_seen(str(error))}</p>'
                body = _call(approval) + why + _buttons(approval, typed)
                await _page(send, 422, "This is no answer yet", body)
                return
            try:
                by = f"link from {request.address or 'this machine'}"
                decided = await self._store.decide_approval(approval.id, decision, by=by, content=content)
            except ApprovalClosed:
                approval = await self._store.approval(approval.id)
            else:
                await _page(send, 200, "Thank you", _call(decided) + _standing(decided))
                return
        await _page(send, 409, "This was decided before", _call(approval) + _standing(approval))

    async def _approval(self, request: Request) -> Approval:
        approval_id, caller = self._links.opened(request.path_params["token"])
        approval = await self._store.approval(approval_id)
        # What the key may do can have changed since it was shown the link.
        if "chat" not in caller.rights or not caller.sees(approval.session_key):
            raise ApprovalNotFound("this link is not valid")
        request.session_key = approval.session_key
        return approval


async def _sent(request: Request, asks: ToolQuestion | None) -> "tuple[ApprovalAnswer, Typed]":
    """Return which button was pressed, and what was filled in.

    Raises:
        InvalidRequest: it is none of the page's.
    """
    from nanobot.api.approval_form import MAX_FORM_BYTES, MAX_FORM_VALUES

    has_form = asks is not None and asks.fields
    most = MAX_FORM_BYTES if has_form else _MOST_BODY_BYTES
    body = await read_body(request, max_bytes=most, timeout_s=_BODY_TIMEOUT_S)
    try:
        typed = await asyncio.to_thread(
            parse_qs, body.decode("ascii"), max_num_fields=MAX_FORM_VALUES if has_form else 4
        )
    except ValueError:
        typed = {}
    values = typed.pop("decision", [])
    decision = _ANSWERS.get(values[0]) if len(values) == 1 else None
    if decision is None:
        raise InvalidRequest("decision must be 'once' or 'deny'", param="decision")
    return decision, typed


# What people see ----------------------------------------------------------------------------------

_GONE = (
    "<p>It is not one of this server's, its conversation has been deleted, or the API key that it was made"
    " for is not valid any more.</p>"
)
_BUTTONS = (
    '<form method="post"><button name="decision" value="once">Run it once</button>'
    '<button name="decision" value="deny">Do not run it</button></form>'
)


_CONFIRM = (
    '<form method="post"><button name="decision" value="once">Yes, go on</button>'
    '<button name="decision" value="deny">No</button></form>'
)


def _buttons(approval: Approval, typed: "Typed | None" = None) -> str:
    asks = approval.question
    if asks is None:
        return _BUTTONS
    if not asks.fields:
        return _CONFIRM
    from nanobot.api.approval_form import form_fields

    return (
        f'<form method="post">{form_fields(asks, _seen, typed)}'
        f"<p>What you answer is sent to {_html(asks.who)}; never give it a password.</p>"
        '<button name="decision" value="once">Send the answer</button>'
        '<button name="decision" value="deny" formnovalidate>Do not answer</button></form>'
    )


def _question(asks: ToolQuestion) -> str:
    # An address is text here, too: a person who wants to go there copies what they have read.
    link = f"<p>It wants you to open this page:</p><pre>{_seen(asks.link)}</pre>" if asks.link else ""
    return f"<p>In the middle of it, {_html(asks.who)} asks:</p><pre>{_seen(asks.text)}</pre>{link}"


def _call(approval: Approval) -> str:
    from nanobot.core.readable import readable

    asker = f" for {_seen(approval.asker)}" if approval.asker is not None else ""
    shown = readable(approval.arguments)
    blocks = [f"<pre>{_seen(shown.rest)}</pre>"] if shown.rest else []
    blocks += [
        f"<p>{_html(label)}</p><pre>{_seen(text.lines)}</pre>"
        for label, text in zip(shown.labels, shown.texts, strict=True)
    ]
    return (
        f"<p>In the conversation <b>{_seen(approval.session_key)}</b>{asker}, the agent wants"
        f" to call <b>{_html(approval.tool)}</b> with exactly this:</p>"
        f"{''.join(blocks)}{_question(approval.question) if approval.question else ''}"
    )


def _standing(approval: Approval) -> str:
    if approval.question is not None and approval.state == "approved":
        answer = approval.content if approval.question.fields else ""
        said = f"<p>It was answered:</p><pre>{_seen(answer)}</pre>" if answer else "<p>It was answered.</p>"
        return said if approval.is_used else f"{said}<p>The call goes on with the next message.</p>"
    if approval.question is not None and approval.state == "denied":
        return "<p>It is not answered.</p>"
    if approval.state == "expired":
        return "<p>Nobody agreed to it in time. It was not run; the agent asks again if it is needed.</p>"
    if approval.state == "denied":
        return "<p>It was refused, and is not run.</p>"
    if approval.is_used:
        return "<p>It was agreed to, and has been run.</p>"
    until = datetime.datetime.fromtimestamp(approval.expires_at, datetime.UTC)
    return (
        "<p>It was agreed to. It is run with the next message of the conversation, if that comes before"
        f" {until:%Y-%m-%d %H:%M} UTC.</p>"
    )


def _seen(text: str) -> str:
    """Return the text as HTML that shows all of it."""
    return _html(without_unseen(text, escaped))


def _html(text: str) -> str:
    # It loads the names of all characters; most servers show no such page.
    import html

    return html.escape(text)


async def _page(send: Send, status: int, title: str, body: str) -> None:
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport"'
        f' content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
        f"<main><h1>{title}</h1>{body}</main></html>"
    )
    await answer(send, status, page.encode(), _HEADERS, b"text/html; charset=utf-8")


def operations(store: Store, links: ApprovalLinks) -> tuple[Operation, ...]:
    """Return the operations of the links."""
    pages = ApprovalPages(store, links)
    return (
        Operation(
            method="GET",
            path=PATH,
            run=pages.show,
            summary="A page that asks whether a call may run",
            tag="Approvals",
            right=None,
            answers={200: str, 404: str},
            media_type="text/html",
        ),
        Operation(
            method="POST",
            path=PATH,
            run=pages.decide,
            summary="What the buttons of that page send",
            tag="Approvals",
            right=None,
            answers={200: str, 404: str, 409: str, 422: str},
            errors=(InvalidRequest, BodyTooLarge, SlowRequest),
            media_type="text/html",
        ),
    )
