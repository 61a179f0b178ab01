"""What people answer in words to a question of a tool."""

from collections.abc import Iterable

from nanobot.agent.consent import Consent
from nanobot.core.message import Message, Text
from nanobot.core.tool_question import Content, ToolQuestion, in_words, takes_no


def content_in(
    question: ToolQuestion, said: Iterable[Message], asker: str | None, consent: Consent | None
) -> Content | None:
    """Return what the participant `asker` answers with the messages `said`, which say `consent`; None where
    that is no clear answer, or a no that answers nothing. Several messages answer nothing.
    """
    own = [message for message in said if message.name == asker]
    if len(own) != 1 or len(own[0].parts) != 1 or not isinstance(own[0].parts[0], Text):
        return None
    text = own[0].parts[0].text
    if consent == "no":
        return takes_no(question, text)
    return in_words(question, text, is_yes=consent is not None)
