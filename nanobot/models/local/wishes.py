"""Wishes for something harmless to be written, which a small model must not refuse.

Asked for an e-mail that says that its writer is ill, or for a poem in Italian, it says that it cannot help
with that. So the answer does not begin as a refusal does, in any language; what may do harm is left to the
model.
"""

import re

_LONGEST = 240
REFUSALS = (
    "I'm", "I’m", "I am ", "I can't", "I cannot", "I can ",
    "I don't", "I do not", "I won't", "Sorry", "Unfortunately", "As an AI", "As a ", "Apologies",
    "My apologies",
    "Es tut mir", "Tut mir", "Leider", "Entschuldig", "Ich kann ", "Ich bin ", "Das kann ich nicht",
    "Je suis désol", "Désol", "Je ne ", "Malheureusement", "Je regrette",
    "Lo siento", "Lamento", "No puedo", "Perdón", "Disculp", "Lamentablemente",
    "Mi dispiace", "Non posso", "Purtroppo", "Spiacente", "Mi spiace",
    "Desculp", "Sinto muito", "Não posso", "Infelizmente",
    "抱歉", "对不起", "很抱歉", "我无法", "我不能", "作为", "申し訳", "すみません", "ごめん",
)  # fmt: skip
"""How refusals begin."""

_WISHES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:write|draft|compose|make|create|give|suggest|come up with|invent"
        r"|prepare)\b[^.!?\n]{0,60}\b(?:e-?mails?"
        r"|letter|message|text|note|cards?|invitation|toast|speech|slogan|headline|caption|tweet|post"
        r"|apology|reply"
        r"|paragraph|sentences?|description|bio|review|greeting|wish(?:es)?|poem|haiku|limerick|song"
        r"|verses?|rap|riddle"
        r"|list|recipe|plan|schedule|lines?|lyrics|rhyme|fable|dialogue|diary)\b",
        r"\b(?:schreib|verfass|erstell|entwirf|formulier|mach|gib|dicht)\w*\b[^.!?\n]{0,60}\b(?:e-?mail"
        r"|mail|brief|nachricht"
        r"|sms|notiz|karte|einladung|rede|slogan|überschrift|entschuldigung|antwort|absatz|sätze?"
        r"|beschreibung|gruß"
        r"|glückwunsch|gedicht|haiku|lied|strophe|reim|rätsel|\w*liste|rezept|plan|zeilen?|text|dialog)\b",
        r"\b(?:écri|rédige|compose|invente|fais|donne|propose|crée)\w*\b[^.!?\n]{0,60}\b(?:e-?mail|courriel"
        r"|mail|lettre"
        r"|message|sms|note|carte|invitation|discours|slogan|titre|excuses?|réponse|paragraphe|phrases?"
        r"|description"
        r"|poème|haïku|chanson|strophe|vers|rime|devinette|liste|recette|plan|lignes?|texte|dialogue)\b",
        r"\b(?:escr[ií]b|redact|compon|invent|haz|crea|dame|propon)\w*\b[^.!?\n]{0,60}\b(?:e-?mail|correo"
        r"|carta|mensaje|sms"
        r"|nota|tarjeta|invitación|discurso|eslogan|título|disculpa|respuesta|párrafo|frases?|oración"
        r"|descripción"
        r"|poema|haiku|canción|versos?|rima|adivinanza|lista|receta|plan|líneas?|texto|diálogo)\b",
        r"\b(?:scriv|compon|invent|fammi|crea|dammi|prepara|proponi)\w*\b[^.!?\n]{0,60}\b(?:e-?mail|mail"
        r"|lettera|messaggio"
        r"|sms|nota|biglietto|invito|discorso|slogan|titolo|scuse|risposta|paragrafo|fras[ei]|descrizione"
        r"|poesi[ae]"
        r"|haiku|canzone|versi|rima|indovinello|lista|ricetta|piano|righe|testo|dialogo|filastrocca)\b",
        r"\b(?:escrev|redij|compon|invent|faça|faz|cri[ae]|dê|dá)\w*\b[^.!?\n]{0,60}\b(?:e-?mail|carta"
        r"|mensagem|sms|nota"
        r"|cartão|convite|discurso|slogan|título|desculpa|resposta|parágrafo|frases?|descrição|poema|haicai"
        r"|canção"
        r"|versos?|rima|adivinha|lista|receita|plano|linhas?|texto|diálogo)\b",
        r"[写編编做给](?:我|个|個|一|首|封|份|张|段|句|点)*[^。！？\n]{0,20}(?:邮件|信|消息|短信|便条|贺卡|请柬|演讲|口号|标题|道歉|回复"
        r"|段|句|介绍|诗|俳句|歌|谜语|清单|菜谱|计划|对话)",
        r"(?:メール|手紙|メッセージ|カード|招待|スピーチ|詩|俳句|歌|文|リスト|レシピ|計画|紹介)[^。！？\n]{0,10}"
        r"(?:書いて|作って|考えて)",
    )
)
# What may be a wish to do harm, or to tell lies about somebody.
_MAY_HARM = re.compile(
    r"kill|murder|bomb|weapon|\bguns?\b|explosi|poison|\bdrugs?\b|cocaine|heroin|\bmeth\b|suicid|self.?harm"
    r"|hurt|hack|malware"
    r"|virus|ransom|phish|scam|fraud|fake|forge|trick|deceiv|steal|stole|threat|blackmail|extort|stalk"
    r"|\bspy|passw"
    r"|credit card|bank|racis|nazi|hate|slur|insult|porn|\bsex|nude|naked|terror|attack|bully|harass|defam"
    r"|launder"
    r"|smuggl|child|minor|abus|rape|tortur|illegal|töt|mord|waffe|sprengst|gift|droge|selbstmord|verletz"
    r"|betrug"
    r"|betrüg|fälsch|stehl|droh|erpress|passwort|kredit|hass|beleidig|missbrauch|verbrech|tuer|meurtr|arme"
    r"|poison"
    r"|drogue|menac|chantage|arnaque|escroqu|vol[eé]r?\b|haine|insult|mat[ae]r|asesin|arma|veneno|droga"
    r"|amenaz|chantaj"
    r"|estaf|robar|odio|uccid|omicid|veleno|minacc|ricatt|truff|rubar|frode|assassin|ameaç|golpe|roubar|ódio"
    r"|杀|殺|炸|武器|毒|自杀|自殺|黑客|诈骗|骗|偷|威胁|勒索|色情|恐怖|爆弾|脅|詐欺|盗",
    re.IGNORECASE,
)


def not_to_refuse(text: str) -> tuple[str, ...]:
    """Return how the answer to the user's `text` must not begin, where it is a wish for something harmless to
    be written; empty where it is none, or may do harm.
    """
    if len(text) > _LONGEST or _MAY_HARM.search(text):
        return ()
    return REFUSALS if any(wish.search(text) for wish in _WISHES) else ()
