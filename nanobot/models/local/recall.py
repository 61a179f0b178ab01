"""Questions about what was said before: recognised by their words, and answered from the messages themselves.

A small model that is asked to repeat something makes it up. So it is shown what the user said, and may write
quotation marks only around one of these messages, word for word. That is exact where it quotes, and does no
harm where the question was about something else.
"""

import re
from collections.abc import Sequence

import msgspec

from nanobot.core.message import Message, ProviderState, Text
from nanobot.models.local.gbnf import literal, unlike

FIRST = "There was no message before this one."
_LONGEST_QUOTE = 400
_MOST_LISTED = 12
_RECALLED = ProviderState("local", "recalled", msgspec.Raw(b"true"))
_MARKS = '"“”„‟«»「」『』'

# What people say when they ask what they said, and in which order. May be generous: see above.
_QUESTIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # English
        r"\b(what|which)\b.{0,30}\b(did|had|have|was|were) (i|we)\b.{0,20}\b(just|first|last|previ"
        r"ously|earlier|before|begin|start|originally)\b.{0,30}\b(ask|asked|say|said|tell|told|wri"
        r"te|wrote|want|question|with)\b",
        r"\b(what|which)\b.{0,20}\b(did|had|have) i\b.{0,12}\b(ask|asked|say|said|tell|told|write|"
        r"written|type|typed)\b(?!.{0,12}\b(about|of|to do)\b).{0,20}(\b(just|first|last|before|ea"
        r"rlier|now|so far|previously)\b|you|\?|$)",
        r"\b(what|which) (was|were|is)\b.{0,10}\bmy\b.{0,16}\b(first|last|previous|earlier|initial"
        r"|original|prior|opening|latest)\b.{0,16}\b(question|message|request|prompt|sentence|word"
        r"s?)",
        r"\b(repeat|quote|recite)\b.{0,12}\bmy\b.{0,20}\b(question|message|request|words|sentence)",
        r"\bsum(marise|marize|mary of|mary| up)?\b.{0,12}\b(our|this|the)\b.{0,8}\b(chat|discussio"
        r"n|conversation|talk|dialogue)",
        r"\bwhat (have|did) (we|i)\b.{0,12}\b(talk|talked|discuss|discussed|chat|chatted|spoken|speak)\b",
        # German
        r"\bwas\b.{0,12}\b(habe?|hatte) ich\b.{0,24}\b(gefragt|gesagt|geschrieben|erzählt|wissen wollen)",
        r"\b(was|welche|wie)\b.{0,12}\bwar\b.{0,16}\bmeine?\b.{0,16}\b(erste|letzte|vorige|vorheri"
        r"ge)\w*\b.{0,16}\b(frage|nachricht|bitte|satz)",
        r"\bwiederhol\w*\b.{0,20}\bmeine?\b.{0,20}\b(frage|nachricht|worte)",
        r"\bfass\w*\b.{0,20}\b(gespräch|unterhaltung|chat|diskussion)\b",
        # French
        r"\bqu['’]est-ce que (je|j['’]ai)\b.{0,30}\b(demand|dit|écri|posé)",
        r"\b(qu['’]ai-je|que viens-je|que t['’]ai-je|que vous ai-je)\b.{0,30}\b(demand|dit|dire|écri)",
        r"\bquel\w*\b.{0,12}\bétait\b.{0,12}\bm(a|on)\b.{0,16}\b(première?|dernière?|précédente?)?"
        r".{0,10}\b(question|message|demande|phrase)",
        r"\brésum\w*\b.{0,16}\b(notre|cette|la)\b.{0,8}\b(discussion|conversation|échange)",
        # Spanish
        r"qué (te|le|os)?\s?(acabo de|he|había|dije|pregunté|escribí).{0,24}(preguntar|preguntado|"
        r"decir|dicho|dije|pregunté|escrito|escribí|antes|primero|\?)",
        r"\bcuál (fue|era|es) mi\b.{0,16}\b(primera?|última?|anterior)?.{0,12}\b(pregunta|mensaje)",
        r"\bresum\w*\b.{0,12}\b(nuestra|esta|la)\b.{0,8}\b(charla|conversación|discusión)",
        # Italian
        r"\b(che|cosa)\b.{0,16}\b(ti|le|vi)?\s?(ho|avevo)\b.{0,16}\b(chiesto|detto|scritto|domandato)",
        r"\bqual (era|è stata|è)\b.{0,8}\b(la )?mia\b.{0,16}\b(prima|ultima|precedente)?.{0,10}\b("
        r"domanda|richiesta|frase)",
        r"\briassumi\w*\b.{0,12}\b(la nostra|questa|la)\b.{0,8}\b(conversazione|discussione|chiacchierata)",
        # Portuguese
        r"\bo que\b.{0,8}\b(eu )?(te |lhe )?(acabei de|perguntei|disse|escrevi|tinha)\b.{0,24}",
        r"\bqual (foi|era|é)\b.{0,6}\b(a )?minha\b.{0,16}\b(primeira|última|anterior)?.{0,10}\b(pe"
        r"rgunta|mensagem)",
        r"\bresum\w*\b.{0,12}\b(nossa|esta|a)\b.{0,8}\b(conversa|discussão)",
        # Dutch, Polish, Russian, Ukrainian, Turkish
        r"\bwat\b.{0,8}\b(heb|had|vroeg|zei) ik\b.{0,30}",
        r"\bo co\b.{0,12}\b(zapyta\w+|pyta\w+)|\bco\b.{0,12}\b(powiedzia\w+|napisa\w+)em\b",
        r"(что|о чём|о чем|що|про що)\s.{0,16}(я|мы|ми).{0,20}(спросил|спрашивал|сказал|написал|го"
        r"ворил|запитав|питав|сказав)",
        r"(az önce|ilk|son|demin).{0,24}(sordum|söyledim|sorum)",
        # Chinese, Japanese, Korean
        r"我.{0,8}(刚才|刚刚|剛才|剛剛|之前|上一|上一个|第一|最开始|一开始|前面|最后).{0,8}(问|說|说|講|讲|問|提)",
        r"(刚才|刚刚|剛才|剛剛|之前|第一次|第一个|一开始).{0,4}我.{0,6}(问|說|说|講|讲|問)",
        r"(总结|總結|概括).{0,8}(对话|對話|聊天|讨论|討論|谈话)",
        r"(さっき|今|前に|最初に|最後に|直前に|先ほど).{0,12}(聞|質問|尋ね|言|話).{0,10}(何|なん|\?|？|か)",
        r"(何|なん)(を|と|て).{0,6}(聞|質問|尋ね|言)(い|きま|した|いま|っ|ね).{0,4}(た|したか|ましたか)",
        r"(最初|最後|前|直前)の(質問|メッセージ|発言)",
        r"(会話|話|議論|チャット).{0,6}(要約|まとめ)",
        r"(방금|아까|처음|마지막|이전).{0,12}(물|질문|말|했)",
    )
)


def asks_for_words(text: str) -> bool:
    """Return whether the user asks what was said before, as far as words tell."""
    # Long messages bring a matter of their own.
    return len(text) <= 200 and any(question.search(text) for question in _QUESTIONS)


def listing(said: list[str]) -> str:
    """Return what a model is shown for its `[recall]`; `said`: the user's messages before the question."""
    if not said:
        return f"({FIRST})"
    numbered = [f'{number}. "{_quotable(text)}"' for number, text in enumerate(_listed(said), 1)]
    return f"(The user's messages: {' '.join(numbered)})"


def grammar(said: list[str], not_first: Sequence[str] = ()) -> str:
    """Return the grammar of an answer from that list: words, which begin with none of `not_first`, and at
    most one quotation, which is exact.
    """
    text = unlike(not_first, r"\[ \t\r\n", _MARKS)
    free = f"free ::= [^\\x00{_MARKS}]*"
    quotes = dict.fromkeys(map(_quotable, _listed(said)))
    if not quotes:
        return f"root ::= {text}\nrest ::= free\n{free}"
    choice = " | ".join([literal(f'"{quote}"') for quote in quotes])
    return f"root ::= {text} | quote free\n{free}\nrest ::= free (quote free)?\nquote ::= {choice}"


def recalled(message: Message) -> bool:
    """Return whether an answer was given from that list."""
    return any(isinstance(part, Text) and part.provider_state == _RECALLED for part in message.parts)


def marked(message: Message) -> Message:
    """Return the answer with a note that it was given from that list: the next turn shows it the same way."""
    parts = tuple(
        msgspec.structs.replace(part, provider_state=_RECALLED) if isinstance(part, Text) else part
        for part in message.parts
    )
    return msgspec.structs.replace(message, parts=parts)


def _listed(said: list[str]) -> list[str]:
    return said if len(said) <= _MOST_LISTED else [said[0], *said[1 - _MOST_LISTED :]]


def _quotable(text: str) -> str:
    # A quotation mark inside would end the quotation early, for the model as for the grammar.
    text = "".join(
        character if character.isprintable() else " " for character in text.strip().replace('"', "'")
    )
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
