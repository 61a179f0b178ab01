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
        r"\b(sum|summarise|summarize|list|repeat|recap)\b.{0,12}\b(what|all|everything)\b.{0,8}\bi\b.{0,12}"
        r"\b(told|said|wrote|mentioned|asked)\b",
        r"\bwhat do you (already )?(know|remember) (about|of) me\b",
        # German
        r"\bwas\b.{0,12}\b(habe?|hatte) ich\b.{0,24}\b(gefragt|gesagt|geschrieben|erzählt|wissen wollen)",
        r"\b(was|welche|wie)\b.{0,12}\bwar\b.{0,16}\bmeine?\b.{0,16}\b(erste|letzte|vorige|vorheri"
        r"ge)\w*\b.{0,16}\b(frage|nachricht|bitte|satz)",
        r"\bwiederhol\w*\b.{0,20}\bmeine?\b.{0,20}\b(frage|nachricht|worte)",
        r"\bfass\w*\b.{0,20}\b(gespräch|unterhaltung|chat|diskussion)\b",
        r"\b(fass\w*|wiederhol\w*|nenn\w*)\b.{0,24}\bwas ich\b.{0,20}\b(gesagt|erzählt|geschrieben|gefragt)",
        r"\bwas weißt du (schon |alles )?(über|von) mi(ch|r)\b",
        # French
        r"\bqu['’]est-ce que (je|j['’]ai)\b.{0,30}\b(demand|dit|écri|posé)",
        r"\b(qu['’]ai-je|que viens-je|que t['’]ai-je|que vous ai-je)\b.{0,30}\b(demand|dit|dire|écri)",
        r"\bquel\w*\b.{0,12}\bétait\b.{0,12}\bm(a|on)\b.{0,16}\b(première?|dernière?|précédente?)?"
        r".{0,10}\b(question|message|demande|phrase)",
        r"\brésum\w*\b.{0,16}\b(notre|cette|la)\b.{0,8}\b(discussion|conversation|échange)",
        r"\b(résum\w*|répèt\w*)\b.{0,8}\bce que je (t'|vous )?.{0,6}\b(dit|raconté|demandé|écrit)",
        r"\bque (sais-tu|savez-vous)\b.{0,6}\b(de|sur) moi\b",
        # Spanish
        r"qué (te|le|os)?\s?(acabo de|he|había|dije|pregunté|escribí).{0,24}(preguntar|preguntado|"
        r"decir|dicho|dije|pregunté|escrito|escribí|antes|primero|\?)",
        r"\bcuál (fue|era|es) mi\b.{0,16}\b(primera?|última?|anterior)?.{0,12}\b(pregunta|mensaje)",
        r"\bresum\w*\b.{0,12}\b(nuestra|esta|la)\b.{0,8}\b(charla|conversación|discusión)",
        r"\b(resum\w*|repite)\b.{0,8}\blo que (te )?(he|dije|conté)\b",
        r"\bqué sabes (ya )?(de|sobre) mí\b",
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
        r"(总结|總結|概括).{0,8}(对话|對話|聊天|讨论|討論|谈话|我.{0,6}(告诉|告訴|说|說|讲|講))",
        r"你.{0,4}(知道|记得|記得).{0,6}我.{0,6}(什么|什麼|哪些)|关于我.{0,8}(知道|了解)",
        r"(さっき|今|前に|最初に|最後に|直前に|先ほど).{0,12}(聞|質問|尋ね|言|話).{0,10}(何|なん|\?|？|か)",
        r"(何|なん)(を|と|て).{0,6}(聞|質問|尋ね|言)(い|きま|した|いま|っ|ね).{0,4}(た|したか|ましたか)",
        r"(最初|最後|前|直前)の(質問|メッセージ|発言)",
        r"(会話|話|議論|チャット).{0,6}(要約|まとめ)",
        r"(私|僕)が.{0,8}(言|話|伝え|教え).{0,8}(要約|まとめ)|(私|僕)について.{0,6}(何|なに).{0,6}知って",
        r"(방금|아까|처음|마지막|이전).{0,12}(물|질문|말|했)",
    )
)


# What people ask of themselves that only they can have told. A small model makes it up where they have not.
_OF_USER = tuple(
    re.compile(rf"\W*(?:{pattern})", re.IGNORECASE)
    for pattern in (
        r"(what|when|where|who)('s| is| are| was| were) my\b(?! (best|next|options?|chances?|first|last)\b)",
        r"where do i (live|work)\b|how old am i\b|what am i (called|allergic)\b|what do i (do for|like)\b",
        r"do i have (a|an|any)\b|(am|have) i (married|vegetarian|allergic|told)\b",
        r"(wie|wo|wann|was|wer) (heißt|ist|sind|war) mein\w*\b|wie heiße ich\b|wo (wohne|lebe|arbeite) ich\b",
        r"wie alt bin ich\b|habe ich (ein|eine|einen)\b",
        r"(quel\w*|où|qui|quand|comment) (est|sont|s'appelle(nt)?) (mon|ma|mes)\b|comment je m'appelle\b",
        r"où (est-ce que j'habite|j'habite|habité-je)\b|quel âge ai-je\b|ai-je une?\b",
        r"(cuál|cuándo|dónde|quién|cómo) (es|son|está|se llaman?) mis?\b|cómo me llamo\b",
        r"dónde (vivo|trabajo)\b|qué edad tengo\b|tengo (un|una|algún|alguna)\b",
        r"(qual|quando|dove|chi|come) (è|sono|si chiama) (il mio|la mia|mio|mia)\b|come mi chiamo\b",
        r"(qual|quando|onde|quem|como) (é|está|se chama) (o meu|a minha|meu|minha)\b|como me chamo\b",
        r"我(的.{1,8})?(叫什么|住在?哪|几岁|多大|在哪里(住|工作)|是谁)|我的(名字|生日|电话|地址).{0,4}(什么|哪|几)",
        r"(私|僕)の.{1,8}は(何|なん|誰|いつ|どこ)|(私|僕)は(どこに住|何歳|誰)",
    )
)
_LONGEST_OF_USER = 70
_SPEAKS_OF_WORDS = re.compile(
    r"\b(?:ask\w*|sa(?:y|id)|t[eo]ld?l?|questions?|messages?|words?|wr[io]te|mention\w*|quote\w*|repeat\w*"
    r"|\w*frag\w*|\w*sagt?e?\w*|nachricht\w*|wort\w*|worte?|erwähn\w*|wiederhol\w*|demand\w*|dite?s?"
    r"|pregunt\w*|dij\w*|dicho|mensajes?|domand\w*|dett\w*|chies\w*|messagg\w*|pergunt\w*|diss\w*"
    r"|mensage\w*)\b|问|問|说|說|讲|講|消息|話|言|聞|質問|발|말|질문|물",
    re.IGNORECASE,
)


def asks_of_user(text: str) -> bool:
    """Return whether the user asks for a fact of themselves that nobody knows whom they have not told."""
    return len(text) <= _LONGEST_OF_USER and any(question.match(text) for question in _OF_USER)


def asks_for_words(text: str) -> bool:
    """Return whether the user asks what was said before, as far as words tell."""
    # Long messages bring a matter of their own.
    return len(text) <= 200 and any(question.search(text) for question in _QUESTIONS)


def speaks_of_words(text: str) -> bool:
    """Return whether the message speaks of saying or asking, so that the answer may quote what was said."""
    return bool(_SPEAKS_OF_WORDS.search(text))


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
