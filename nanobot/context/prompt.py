"""The words that the server itself says to the model. Short: they are paid for on every turn."""

from datetime import datetime

SYSTEM = (
    "You are nanobot, a friendly personal assistant. Speak to the user as 'you'. "
    "Use the conversation so far to answer questions about it. To repeat an earlier question, quote it exactly."
)
FIRST_MESSAGE = "This is the first message of the conversation; nothing was said before it."
LAST_STEP = "You have used all your steps: answer now with what you know, without tools."
ANSWER_WAS_EMPTY = "Your last answer was empty. Answer my last message."
ANSWER_WAS_CUT = "Your last message was cut off by the length limit. Continue exactly where it stopped; do not repeat anything."


def system(instructions: str) -> str:
    """Return the system prompt: the server's own words, and below them the asker's for this turn."""
    return f"{SYSTEM}\n\n{instructions}" if instructions else SYSTEM


def notes(today: datetime, *, is_first: bool, hint: str = "") -> str:
    """Return what changes from turn to turn; it goes to the end so that everything before stays in the provider's cache."""
    lines = [f"Today is {today:%A}, {today:%Y-%m-%d}."]
    if is_first:
        lines.append(FIRST_MESSAGE)
    if hint:
        lines.append(hint)
    return " ".join(lines)
