"""What attackers have done to an owner's things."""

from http import HTTPStatus

from nanobot.isolation.owner import Owner


async def damage_to(owner: Owner, blocked_turn: str, title: str) -> list[str]:
    """Return, in words, what is no longer as the owner left it, once its turns have ended.

    `blocked_turn`: the one that was running meanwhile; `title`: that of the main session.
    """
    damages = []
    turn = await owner.read("GET /v1/turns/{turn_id}", "{turn_id}", blocked_turn)
    if turn.field("status") != "done":
        damages.append(f"the turn {blocked_turn} is {turn.field('status') or 'gone'}")
    if "GET /v1/sessions/{key}" in owner.testbed.routes:
        session = await owner.read("GET /v1/sessions/{key}", "{key}", owner.tenant.key)
        if session.field("title") != title:
            damages.append(f"the title of session {owner.tenant.key!r} is {session.field('title')!r}")
        messages = await owner.read(
            "GET /v1/sessions/{key}/messages", "{key}", owner.tenant.key, "?limit=100"
        )
        if owner.resources.word not in messages.text:
            damages.append(f"the transcript of session {owner.tenant.key!r} lacks its beginning")
    kept = [
        await owner.read("GET /v1/files/{file_id}", "{file_id}", file_id) for file_id in owner.resources.files
    ]
    if any(reply.status != HTTPStatus.OK for reply in kept):
        damages.append("a file is gone")
    for fact in owner.resources.facts:
        known = await owner.read("GET /v1/memory/{fact_id}", "{fact_id}", fact)
        if not known.field("text").startswith("keeps "):
            damages.append("a fact is gone, or another")
    for approval in owner.resources.approvals:
        standing = await owner.read("GET /v1/approvals/{approval_id}", "{approval_id}", approval)
        if standing.field("state") != "pending":
            damages.append(f"the approval {approval} is {standing.field('state') or 'gone'}")
    return damages
