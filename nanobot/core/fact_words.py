"""The words of a fact: on one line, and whether they are a fact at all."""

import re
import unicodedata

from nanobot.core.late_pattern import LatePattern

MOST_CHARACTERS = 500


def one_line(text: str, most_characters: int = MOST_CHARACTERS) -> str:
    """Return the text on one line, without characters that are not seen, cut where it is too long."""
    seen = "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    line = " ".join(seen.split())
    return line if len(line) <= most_characters else line[: most_characters - 1].rstrip() + "…"


# What reads as an instruction ---------------------------------------------------------------------

_ORDERS = (
    r"(?:please |now )?(?:ignore|disregard|obey|pretend|respond|reply|answer|say|repeat|reveal|translate"
    r"|write|act as|behave|call the|run the|execute|send|fetch|open|follow|do not|don't|never|always"
    r"|make sure|be sure|remember to|stop)\b",
    r"bitte |antworte|ignoriere|sag\b|schreib|verhalte|gib .* aus|niemals|immer\b",
    r"ignorez?\b|réponds|répondez|ne .* jamais|toujours|agis\b|écris",
    r"ignora|responde|nunca|siempre|actúa|escribe|di\b",
    r"игнорируй|отвечай|всегда|никогда|забудь|веди себя|напиши",
    r"请|忽略|无视|总是|永远|必须|不要|从现在|回答|假装",
    r"无論|必ず|常に|無視して|答えて|決して",
    r"무시|항상|절대|대답해|반드시",
    r"تجاهل|أجب|دائما|لا ت|يجب أن",
)
_ANYWHERE = (
    r"\b(?:ignore|disregard|forget|override) (?:all |any |the |your |my )*(?:previous|prior|earlier|above"
    r"|system|instructions|rules)",
    r"\b(?:you|the assistant|the agent|the model|the ai|nanobot) (?:must|should|shall|have to|has to|are to"
    r"|is to|will always|need to|needs to|may not|are now|is now)\b",
    r"\b(?:from now on|system prompt|new instructions?|jailbreak|developer mode)\b",
    r"\bwhen(?:ever)? (?:the user|i|someone|anyone|asked)\b.*\b(?:say|reply|respond|answer|tell|send|call"
    r"|use)\b",
    r"\bdu (?:musst|sollst|darfst)\b|\bab jetzt\b|\bab sofort\b",
    r"\btu dois\b|\bvous devez\b|\bdésormais\b|\bdebes\b|\ba partir de ahora\b",
    r"ты (?:должен|обязан)|отныне|你(?:必须|应该|要|不能)|从现在(?:开始|起)|系统提示",
    r"これから|システムプロンプト",
    r"지금부터|시스템 프롬프트|من الآن",
    r"</?\w+[^>]*>|^\s*(?:system|assistant|user)\s*:",
)
_INSTRUCTION = LatePattern(
    rf"^\W*(?:{'|'.join(_ORDERS)})|{'|'.join(_ANYWHERE)}",
    re.IGNORECASE,
)


def reads_as_instruction(text: str) -> bool:
    """Return whether the text reads as telling the assistant what to do, rather than how something is.

    No filter is complete: what passes is still shown to models as data, between marks.
    """
    return _INSTRUCTION.search(one_line(text)) is not None
