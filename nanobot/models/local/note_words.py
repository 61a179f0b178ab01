"""How one asks for something to be noted down or forgotten, in eight languages, and how that is answered."""

import re
from collections.abc import Sequence

import msgspec

from nanobot.core.message import Message


class NoteWords(msgspec.Struct, frozen=True):
    """How one asks in a language for something to be noted down or forgotten, and for all that is noted: each
    a pattern of a whole message, with the `fact` where that is in it. And the answers to that; each takes the
    fact, or the error; `known` comes before what is noted, `said` before what else was told in the chat.
    """

    remember: re.Pattern[str]
    forget: re.Pattern[str]
    ask: re.Pattern[str]
    noted: str
    noted_for_group: str
    forgotten: str
    nothing_noted: str
    not_noted: str
    not_forgotten: str
    known: str
    said: str


def _words(remember: Sequence[str], forget: Sequence[str], ask: str, *answers: str) -> NoteWords:
    return NoteWords(_any_of(remember), _any_of(forget), _any_of((ask,)), *answers)


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    numbered = (each.replace("<fact>", f"<fact{number}>") for number, each in enumerate(patterns))
    return re.compile("|".join(f"(?:{each})" for each in numbered), re.IGNORECASE | re.DOTALL)


_END = r"\s*[.!。！]*"
LANGUAGES = (
    _words(
        (
            r"(?:please,? |and )?(?:remember|don't forget|do not forget|keep in mind|note(?: down)?"
            r"|make a note|take a note)(?: please)?(?: for (?:the|our|this) group)?"
            r"(?:,? that |(?: this)? ?: ?)(?P<fact>.+)",
            r"(?:please,? |and )?(?:remember|don't forget|do not forget)(?: for (?:the|our|this) group)? "
            r"(?P<fact>(?:i|i'm|i've|we|we're)\b.+|(?:my|our|the) .+? (?:is|are|was|were|has|have|lives?"
            r"|likes?|starts?|begins?|on|at)\b.+)",
            r"(?P<fact>.+?)(?:[.,;!:]+|,? and|,? so) (?:please,? )?(?:remember|don't forget|do not forget"
            r"|note(?: down)?|keep) (?:that|this|it)"
            rf"(?: in mind| please| for me| for later| for (?:the|our|this) group)*{_END}",
            rf"(?:please,? )?(?:remember|don't forget|do not forget|note(?: down)?) (?:that|this|it){_END}",
        ),
        (
            r"(?:please,? )?forget (?:that|about) (?P<fact>(?:my|our|i|i'm|i've|we)\b.+)",
            r"(?:please,? )?forget (?P<fact>my\b.+)",
            rf"(?:please,? )?forget (?:that|this|what i (?:just )?(?:said|told you))"
            rf"(?: again| please)*{_END}",
        ),
        r"(?:so,? |and )?what (?:else )?do you (?:already )?(?:know|remember"
        r"|have noted)(?: down)? (?:about|of) me(?: so far| now)?\W*",
        "Noted: “{}”.",
        "Noted for this group: “{}”.",
        "Forgotten: “{}”. This chat itself still has what was said in it.",
        "I have noted nothing here that I could forget. This chat itself still has what was said in it.",
        "I could not note that down: {}",
        "I could not forget that: {}",
        "This is what I have noted:",
        "You also told me in this chat:",
    ),
    _words(
        (
            r"(?:bitte |und )?(?:merk(?:e|t)? (?:dir|euch)|merken sie sich|behalt(?:e|et)?|vergiss nicht"
            r"|vergesst nicht|notier(?:e|t)?(?: dir)?|denk(?:e|t)? daran)(?: bitte)?"
            r"(?: für (?:die|unsere|diese) gruppe)?(?:,? dass | ?: ?|,? (?=(?:ich|wir)\b))(?P<fact>.+)",
            r"(?P<fact>.+?)(?:[.,;!:]+|,? und) (?:bitte )?(?:merk(?:e)? dir (?:das|es)|merken sie sich das"
            rf"|behalte? (?:das|es)|vergiss (?:das|es) nicht|notiere? (?:dir )?das)"
            rf"(?: bitte| im kopf)*{_END}",
            r"(?:bitte )?(?:merk(?:e)? dir (?:das|es)|merken sie sich das|vergiss (?:das|es) nicht)"
            rf"(?: bitte)?{_END}",
        ),
        (
            r"(?:bitte )?vergiss,? dass (?P<fact>.+)",
            r"(?:bitte )?vergiss (?P<fact>(?:mein|unser)\w*\b.+)",
            r"(?:bitte )?vergiss (?:das|was ich (?:eben |gerade )?gesagt habe)"
            rf"(?: wieder| bitte)*{_END}",
        ),
        r"(?:und )?was (?:weißt du|hast du (?:dir )?(?:notiert|gemerkt)) (?:schon |alles "
        r"|sonst noch )*(?:über|von) mi(?:ch|r)(?: schon| alles| notiert| gemerkt)*\W*",
        "Notiert: „{}“.",
        "Für diese Gruppe notiert: „{}“.",
        "Vergessen: „{}“. In diesem Chat selbst steht noch, was gesagt wurde.",
        "Ich habe hier nichts notiert, was ich vergessen könnte. In diesem Chat selbst steht noch, was gesagt"
        " wurde.",
        "Das konnte ich nicht notieren: {}",
        "Das konnte ich nicht vergessen: {}",
        "Das habe ich notiert:",
        "In diesem Chat hast du mir noch gesagt:",
    ),
    _words(
        (
            r"(?:s'il te plaît,? |s'il vous plaît,? |et )?(?:souviens-toi|souvenez-vous|retiens|retenez"
            r"|rappelle-toi|rappelez-vous|n'oublie pas|n'oubliez pas|notez?)(?: bien)?"
            r"(?: pour (?:le|notre|ce) groupe)?(?:,? que | qu'| ?: ?|,? (?=(?:je|j'|nous)\b))(?P<fact>.+)",
            r"(?P<fact>.+?)(?:[.,;!:]+|,? et) (?:retiens-le|retenez-le|retiens ça|souviens-t'en"
            rf"|souvenez-vous-en|n'oublie pas ça|ne l'oublie pas|note-le|notez-le)(?: bien)?{_END}",
            rf"(?:retiens-le|retenez-le|retiens ça|souviens-t'en|souvenez-vous-en|ne l'oublie pas){_END}",
        ),
        (
            r"(?:s'il te plaît,? )?oublie(?:z)? (?:que |qu')(?P<fact>.+)",
            r"(?:s'il te plaît,? )?oublie(?:z)? (?P<fact>(?:mon|ma|mes|notre|nos)\b.+)",
            rf"(?:s'il te plaît,? )?(?:oublie(?:z)? (?:ça|cela|ce que (?:je|j')[^.]{{1,30}})|oublie(?:z)?-le)"
            rf"{_END}",
        ),
        r"(?:et )?(?:que (?:sais-tu|savez-vous)|qu'est-ce que (?:tu sais|vous savez))(?: déjà)? (?:de"
        r"|sur) moi\W*",
        "C'est noté : « {} ».",
        "C'est noté pour ce groupe : « {} ».",
        "Oublié : « {} ». Cette conversation garde ce qui y a été dit.",
        "Je n'ai rien noté ici que je puisse oublier. Cette conversation garde ce qui y a été dit.",
        "Je n'ai pas pu le noter : {}",
        "Je n'ai pas pu l'oublier : {}",
        "Voici ce que j'ai noté :",
        "Vous m'avez aussi dit dans cette conversation :",
    ),
    _words(
        (
            r"(?:por favor,? |y )?(?:recuerda|recuerde|no olvides|no olvide|an[oó]ta|apunta|acuérdate de"
            r"|ten en cuenta)(?: para (?:el|nuestro|este) grupo)?(?:,? que | ?: ?)(?P<fact>.+)",
            r"(?P<fact>.+?)(?:[.,;!:]+|,? y) (?:recuérdalo|no lo olvides|apúntalo|anótalo"
            rf"|recuerda (?:eso|esto))(?:,? por favor)?{_END}",
            rf"(?:recuérdalo|no lo olvides|apúntalo|anótalo|recuerda (?:eso|esto))(?:,? por favor)?{_END}",
        ),
        (
            r"(?:por favor,? )?olvida que (?P<fact>.+)",
            r"(?:por favor,? )?olvida (?P<fact>(?:mi|mis|nuestr[oa]s?)\b.+)",
            rf"(?:por favor,? )?(?:olvida (?:eso|esto|lo que [^.]{{1,30}})){_END}",
        ),
        r"¿?(?:y )?qué (?:sabes|recuerdas)(?: ya)? (?:de|sobre) mí\W*",
        "Anotado: «{}».",
        "Anotado para este grupo: «{}».",
        "Olvidado: «{}». Este chat conserva lo que se dijo en él.",
        "No he anotado aquí nada que pueda olvidar. Este chat conserva lo que se dijo en él.",
        "No he podido anotarlo: {}",
        "No he podido olvidarlo: {}",
        "Esto es lo que he anotado:",
        "En este chat también me has dicho:",
    ),
    _words(
        (
            r"(?:per favore,? |e )?(?:ricorda(?:ti)?|ricordi|non dimenticare|annota|tieni a mente"
            r"|prendi nota)"
            r"(?: per (?:il|questo) gruppo)?(?:,? che | ?: ?)(?P<fact>.+)",
            r"(?P<fact>.+?)(?:[.,;!:]+|,? e) (?:ricordalo|ricordatelo|non dimenticarlo|annotalo)"
            rf"(?:,? per favore)?{_END}",
            rf"(?:ricordalo|ricordatelo|non dimenticarlo|annotalo)(?:,? per favore)?{_END}",
        ),
        (
            r"(?:per favore,? )?dimentica che (?P<fact>.+)",
            r"(?:per favore,? )?dimentica (?P<fact>(?:il mio|la mia|i miei|le mie|mio|mia)\b.+)",
            rf"(?:per favore,? )?(?:dimentica (?:questo|quello che [^.]{{1,30}})){_END}",
        ),
        r"(?:e )?(?:che )?(?:cosa )?(?:sai|ricordi)(?: già)? (?:di|su) (?:di )?me\W*",
        "Annotato: «{}».",
        "Annotato per questo gruppo: «{}».",
        "Dimenticato: «{}». In questa chat resta ciò che vi è stato detto.",
        "Qui non ho annotato nulla che io possa dimenticare. In questa chat resta ciò che vi è stato detto.",
        "Non ho potuto annotarlo: {}",
        "Non ho potuto dimenticarlo: {}",
        "Ecco che cosa ho annotato:",
        "In questa chat mi hai detto anche:",
    ),
    _words(
        (
            r"(?:por favor,? |e )?(?:lembre(?:-se)?|lembra(?:-te)?|não (?:se |te )?esqueças?|anot[ae])"
            r"(?: para (?:o|este) grupo)?(?: de)?(?:,? que | ?: ?)(?P<fact>.+)",
            r"(?P<fact>.+?)(?:[.,;!:]+|,? e) (?:lembre-se disso|lembra-te disso"
            rf"|não se esqueça disso|anote isso)(?:,? por favor)?{_END}",
            rf"(?:lembre-se disso|lembra-te disso|não se esqueça disso|anote isso)(?:,? por favor)?{_END}",
        ),
        (
            r"(?:por favor,? )?(?:esqueça|esquece) que (?P<fact>.+)",
            r"(?:por favor,? )?(?:esqueça|esquece) (?P<fact>(?:o meu|a minha|meus?|minhas?)\b.+)",
            rf"(?:por favor,? )?(?:esqueça|esquece) (?:isso|isto|o que [^.]{{1,30}}){_END}",
        ),
        r"(?:e )?o que (?:você |tu )?(?:sabe|sabes|lembra)(?: já)? (?:sobre|de) mim\W*",
        "Anotado: “{}”.",
        "Anotado para este grupo: “{}”.",
        "Esquecido: “{}”. Esta conversa mantém o que nela foi dito.",
        "Não anotei aqui nada que possa esquecer. Esta conversa mantém o que nela foi dito.",
        "Não consegui anotar isso: {}",
        "Não consegui esquecer isso: {}",
        "Isto é o que anotei:",
        "Nesta conversa também me disse:",
    ),
    _words(
        (
            r"(?:请|請)?(?:你)?(?:帮我|幫我)?(?:为大家|替大家|为群里|给群里)?(?:记住|記住|记下|記下|记一下|記一下|别忘了|別忘了|不要忘记)"
            r"[，,：: ]*(?P<fact>[^。！，,]{2,}.*)",
            r"(?:请|請)记得[，,：: ]*(?P<fact>我.+)",
            r"(?P<fact>.+?)[。，,！.]\s*(?:请|請)?(?:你)?(?:帮我|幫我)?(?:记住|記住|记下|記下|别忘了|別忘了)"
            rf"(?:这个|这点|这件事|這個|它|哦|吧)?{_END}",
            rf"(?:请|請)?(?:记住|記住|记下|記下|别忘了|別忘了)(?:这个|这点|这件事|這個|它|哦|吧)?{_END}",
        ),
        (
            r"(?:请|請)?(?:忘掉|忘记|忘了)(?P<fact>我.+)",
            rf"(?:请|請)?(?:把)?(?:这个|这件事|它|刚才的话|那个)?(?:忘掉|忘记|忘了)(?:它|这个|这件事|吧|刚才说的)*{_END}",
        ),
        r"你?都?(?:知道|记得|記得)(?:关于|關於)?我的?(?:什么|什麼|哪些事?|哪些事情)\W*|(?:关于|關於)我，?你?(?:知道|记得|了解)(?:什么|些什么"
        r"|哪些)\W*",
        "记下了：“{}”。",
        "已为本群记下：“{}”。",
        "已忘记：“{}”。本次对话中说过的话仍在对话里。",
        "这里没有记下可以忘记的内容。本次对话中说过的话仍在对话里。",
        "没能记下：{}",
        "没能忘记：{}",
        "我记下了这些：",
        "你在这次对话里还告诉过我：",
    ),
    _words(
        (
            r"(?P<fact>.+?)(?:という)?(?:ことを|ことは|のを|を|と|、|。)\s*(?:覚えておいて|覚えて|忘れないで)"
            rf"(?:ね|ください|下さい|くれ)*{_END}",
            rf"(?:それを|これを)?(?:覚えておいて|覚えて|忘れないで)(?:ね|ください|下さい)*{_END}",
        ),
        (
            rf"(?P<fact>(?:私|僕)の.+?)(?:のことは|のことを|は|を)忘れて(?:ね|ください|下さい)*{_END}",
            rf"(?:それ|これ|今の話|今のこと)(?:は|を)忘れて(?:ね|ください|下さい)*{_END}",
        ),
        r"(?:私|僕)(?:について|のこと(?:を)?)、?(?:何|なに)を(?:知って|覚えて)(?:いる|いますか?|る)(?:の)?\W*",
        "覚えました：「{}」。",
        "このグループのために覚えました：「{}」。",
        "忘れました：「{}」。このチャット自体には、話した内容が残っています。",
        "ここで覚えたもので、忘れられるものはありません。このチャット自体には、話した内容が残っています。",
        "覚えられませんでした：{}",
        "忘れられませんでした：{}",
        "覚えていることはこれです：",
        "このチャットでは、ほかにこう聞きました：",
    ),
)  # fmt: skip


# In the order of the languages, as is what follows.
ASKS_HOME = tuple(
    re.compile(rf"\W*(?:{pattern})\W*", re.IGNORECASE)
    for pattern in (
        r"(?:and |so )?where (?:do|am) i (?:live|living)(?: now| these days)?",
        r"(?:und )?wo (?:wohne|lebe) ich(?: jetzt| gerade)?",
        r"(?:et )?où (?:est-ce que j'habite|j'habite|habité-je|est-ce que je vis)(?: maintenant)?",
        r"(?:y )?dónde vivo(?: ahora)?",
        r"(?:e )?dove (?:abito|vivo)(?: ora| adesso)?",
        r"(?:e )?onde (?:eu )?(?:moro|vivo)(?: agora)?",
        r"我(?:现在|如今)?住在?(?:哪里|哪儿|哪)",
        r"(?:私|僕|俺)は(?:今)?どこに住んで(?:いますか|いる(?:の)?|ます)",
    )
)
_PROMISES = (
    ("I'll remember", "I will remember", "I'll note"),
    ("Ich merke mir", "Ich werde mir"),
    ("Je retiens", "Je me souviendrai"),
    ("Recordaré", "Lo recordaré"),
    ("Ricorderò", "Lo ricorderò"),
    ("Vou lembrar", "Vou me lembrar"),
    ("记住了", "我记住", "我会记住", "我记下"),
    ("覚えておき", "覚えていま"),
)


def claims_of_notes(messages: Sequence[Message]) -> tuple[str, ...]:
    """Return how the answers begin that say what was noted or forgotten, in the languages in which the
    conversation has such: a small model would begin like them, having noted nothing.
    """
    told = [message.text for message in messages if message.role == "assistant"]
    claims: dict[str, None] = {}
    for words, promises in zip(LANGUAGES, _PROMISES, strict=True):
        begin = [_beginning(each) for each in (words.noted, words.noted_for_group, words.forgotten)]
        if any(text.startswith(tuple(begin)) for text in told):
            claims.update(dict.fromkeys((*begin, *promises)))
    return tuple(claims)


def _beginning(answer: str) -> str:
    return re.split(r"\s*[:：{]", answer, maxsplit=1)[0]
