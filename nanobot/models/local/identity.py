"""Questions who the agent is, and whether it is a human or a machine: a small model answers either with yes,
and that it talks to whoever asks whom they talk to.
"""

import re

import msgspec

_LONGEST = 80


class _IdentityWords(msgspec.Struct, frozen=True):
    """How one asks in a language: whether one `is_human`, or `is_machine`; and how no and yes begin."""

    is_human: re.Pattern[str]
    is_machine: re.Pattern[str]
    no: str
    yes: str


def _words(verb: str, human: str, machine: str, no: str, yes: str) -> _IdentityWords:
    """`verb`: "are you"; `human` and `machine`: what stands behind it, an article may stand between."""

    def question(of: str) -> re.Pattern[str]:
        article = r"(?:(?:an?|eine?|une?|una?|uno|uma?) |un['’] ?)?"
        other = r"(?: (?:or|oder|ou|o) .{1,30})?"
        return re.compile(
            rf"(?:.{{1,20}}[,.!] )?¿?(?:and |und |et |y |e |so )?(?:{verb}) {article}(?:{of}){other} ?[?？]?",
            re.IGNORECASE,
        )

    return _IdentityWords(question(human), question(machine), no, yes)


_LANGUAGES = (
    _words(
        "are you",
        r"(?:real |actual |living )?(?:human(?: being)?|person|man|woman|guy|girl)",
        r"(?:real )?(?:(?:ro|chat)?bot|ai|machine|computer(?: program)?|program)",
        "No, I'm {}",
        "Yes, I'm {}",
    ),
    _words(
        "bist du|sind sie",
        r"(?:echte[rs]? |richtige[rs]? )?(?:mensch|person|mann|frau)",
        r"(?:echter )?(?:(?:chat|ro)?bot|roboter|ki|ai|maschine|computer|programm)",
        "Nein, ich bin {}",
        "Ja, ich bin {}",
    ),
    _words(
        "(?:est-ce que )?(?:tu es|vous êtes)|es-tu|êtes-vous",
        "(?:vraie? )?(?:humaine?|être humain|personne|homme|femme)",
        "(?:vrai )?(?:(?:ro)?bot|ia|machine|ordinateur|programme)",
        "Non, je suis {}",
        "Oui, je suis {}",
    ),
    _words(
        "eres|es usted",
        "(?:ser )?(?:human[oa]|persona|hombre|mujer)(?: real| de verdad)?",
        "(?:ro)?bot|ia|máquina|ordenador|computadora|programa",
        "No, soy {}",
        "Sí, soy {}",
    ),
    _words(
        "sei|lei è",
        "(?:ver[oa] )?(?:essere )?(?:uman[oa]|persona|uomo|donna)(?: ver[oa]| reale)?",
        "(?:ro)?bot|ia|macchina|computer|programma",
        "No, sono {}",
        "Sì, sono {}",
    ),
    _words(
        "você é|tu és|és",
        "(?:ser )?(?:human[oa]|pessoa|homem|mulher)(?: real| de verdade)?",
        "robô|bot|ia|máquina|computador|programa",
        "Não, sou {}",
        "Sim, sou {}",
    ),
    _IdentityWords(
        re.compile("你是(?:真)?(?:一?个)?(?:真)?人类?吗[？?]?"),
        re.compile("你是(?:一?个)?(?:机器人|人工智能|AI|电脑|程序)吗[？?]?", re.IGNORECASE),
        "不是，我是 {}",
        "是的，我是 {}",
    ),
    _IdentityWords(
        re.compile("(?:あなたは)?(?:本物の)?(?:人間|人)ですか[？?。]?"),
        re.compile("(?:あなたは)?(?:ロボット|ボット|AI|人工知能|機械)ですか[？?。]?", re.IGNORECASE),
        "いいえ、私は {}",
        "はい、私は {}",
    ),
)


_GREETED = r"(?:[^?!.,]{1,20}[!.,] ?)*"
# By whom one talks to; "who are you" the model has been shown.
_TALKS = tuple(
    (re.compile(_GREETED + pattern + r" ?[?？。]?", re.IGNORECASE), opening)
    for pattern, opening in (
        (
            r"(?:and |so )?(?:who (?:am i|are we) (?:talking|speaking|chatting|writing)(?: to| with)?"
            r"|(?:to|with) whom am i (?:talking|speaking|chatting))(?: here| now| today)?",
            "I'm {}",
        ),
        (
            r"(?:und )?mit wem (?:spreche|rede|schreibe|chatte|habe) ich"
            r"(?: hier| da| gerade| jetzt| es zu tun)?",
            "Ich bin {}",
        ),
        (
            r"(?:et )?(?:à|avec) qui (?:(?:est-ce que )?(?:je )?(?:parle|discute)(?:-je)?|ai-je affaire)",
            "Je suis {}",
        ),
        (r"¿?(?:y )?con qui[ée]n (?:hablo|estoy hablando|tengo el gusto)", "Soy {}"),
        (r"(?:e )?con chi (?:parlo|sto parlando)", "Sono {}"),
        (r"(?:e )?com quem (?:falo|estou falando|estou a falar)", "Sou {}"),
        (r"我(?:正)?在(?:和|跟|同)谁(?:说话|聊天|对话)", "我是 {}"),
    )
)


def openings_of_identity(text: str, name: str) -> tuple[str, ...]:
    """Return how the answer begins where the user's `text` asks who the agent of that name is, or whether it
    is a human, or a machine; empty where it asks for something else.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return ()
    for asks, opening in _TALKS:
        if asks.fullmatch(text):
            return (opening.format(name),)
    for language in _LANGUAGES:
        if language.is_human.fullmatch(text):
            return (language.no.format(name),)
        if language.is_machine.fullmatch(text):
            return (language.yes.format(name),)
    return ()
