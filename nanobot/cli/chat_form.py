"""The form of a tool's question, filled in field by field in the chat."""

from collections.abc import Awaitable, Callable

import msgspec

from nanobot.agent.question import described_field
from nanobot.core.tool_question import Content, QuestionField, ToolQuestion, checked, read_values

LEAVE = "/back"
"""What is typed in the place of a value to answer nothing for now."""
_HOW = f"Enter alone takes what stands in brackets, or leaves a field out; {LEAVE} leaves the form."


async def fill_in(
    question: ToolQuestion, read: Callable[[], Awaitable[str]], say: Callable[[str], None]
) -> Content | None:
    """Return what the user fills in, which answers the question; None where they leave it. A value that does
    not fit is asked for again.
    """
    say(_HOW)
    content: Content = {}
    for number, field in enumerate(question.fields, 1):
        say(f"{number} of {len(question.fields)}  {described_field(field)}")
        while True:
            text = await read()
            if text.lower() == LEAVE:
                say("nothing is answered yet")
                return None
            try:
                content |= _value(question, field, text)
            except ValueError as error:
                say(str(error))
                continue
            break
    return content


def _value(question: ToolQuestion, field: QuestionField, text: str) -> Content:
    """Return the value of the field under its name; nothing where it is left out.

    Raises:
        ValueError: the text is none.
    """
    alone = msgspec.structs.replace(question, fields=(field,))
    return checked(alone, read_values(alone, {field.name: text} if text else {}))
