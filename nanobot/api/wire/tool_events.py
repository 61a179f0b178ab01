"""Events about tools, as the streams that show them have them."""

from nanobot.core.message import Message
from nanobot.core.workspace import FILE_ID_PREFIX


def tool_finished(message: Message) -> dict[str, object] | None:
    """Return the fields of `tool_finished` for the message of a result; `files`, where the call has written
    some, with the ids by which `/v1/files` knows them; `plan`, where the call has changed it.

    None: the call was never started, so that nobody may be shown its end.
    """
    result = message.tool_results[0]
    if result.is_withheld:
        return None
    fields: dict[str, object] = {
        "id": result.call_id,
        "is_error": result.is_error,
        "content": result.content,
    }
    if result.plan is not None:
        fields["plan"] = {
            "goal": result.plan.goal,
            "steps": [{"text": step.text, "status": step.status} for step in result.plan.steps],
        }
    if result.files:
        fields["files"] = [{"id": f"{FILE_ID_PREFIX}{path}", "filename": path} for path in result.files]
    return fields


def approvals_settled(message: Message) -> list[dict[str, object]]:
    """Return what has become of the calls of `message` that people were asked about."""
    return [
        {
            "id": call.approval,
            "call_id": call.id,
            "tool": call.name,
            "arguments": call.arguments,
            "approved": not call.is_withheld,
        }
        for call in message.tool_calls
        if call.approval is not None
    ]
