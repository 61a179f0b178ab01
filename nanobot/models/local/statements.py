"""What users tell of themselves, and how its answer begins.

A small model that is told `I'm allergic to nuts.` says it back word for word, refuses, or changes the
language. So the answer begins with one of the words by which people take note of something, in the language
of what was told, and has none by which the user speaks of what is theirs (`Ich merke mir, dass mein Zug …`).
Only messages that say nothing else are meant: wishes, questions and plans are answered freely.
"""

import re

import msgspec

_LONGEST = 240
_CURLY = str.maketrans("’", "'")
_SENTENCES = re.compile(r"(?<=[.!;])(?<!\d\.)\s+|(?<=[。！；])|\n+")
_ASKS = re.compile(r"[?？]|か[。！]?\s*\Z")


class _Language(msgspec.Struct, frozen=True):
    """How one tells facts in a language, asks for them to be remembered, greets, and takes note of them.

    `else_`: words of what is no fact, or too grave for a word of thanks.
    """

    facts: re.Pattern[str]
    remember: re.Pattern[str]
    else_: re.Pattern[str]
    openings: tuple[str, ...]


def _language(facts: str, remember: str, else_: str, *openings: str) -> _Language:
    # What is told may be introduced: "Oh, by the way, …", "I changed my mind: …".
    flags = re.IGNORECASE
    return _Language(
        re.compile(rf"(?:[^,:]{{1,24}}[,:] ?)?(?:{facts})", flags),
        re.compile(remember, flags),
        re.compile(else_, flags),
        openings,
    )


_LANGUAGES = (
    _language(
        r"(?:i'm|i am|i've|i have|i live|i work|i like|i love|i hate|i prefer|i play|i study|i speak"
        r"|i was born|i moved|i now (?:live|work)|i (?:don't|do not|never) (?:eat|drink|like|smoke|have)"
        r"|we have|we've|we live|we got|i got|(?:my|our) [^.]{1,40} (?:is|are|was|were|has|have|lives?"
        r"|works?|likes?|starts?|begins?)|call me)\b",
        r"(?:and |so )?(?:please,? )?(?:remember|don't forget|keep) (?:that|this|it)\b",
        r"\b(?:i'm|i am) \w+ing\b|\b(?:want|need\w*|wish|would|could|can|can't|should|must|help|how|why"
        r"|please (?!remember)|going to|about to|able|unable|lost|sure|stuck|error|problem|not work\w*"
        r"|doesn't|tell|write|give|make|kill\w*|die|dying|dead|suicid\w+|hurt\w*|harm\w*|bomb\w*|weapon\w*"
        r"|gun|drug\w*|poison\w*|steal|stolen|hack\w*|sad|afraid|depressed|alone|lonely|pain|sick|ill"
        r"|cancer)\b",
        "Got it", "Okay", "All right", "Nice", "Good to know", "Thanks for", "Thank you",
        "You ", "You're ", "Your ",
        "Hello", "Hi ", "Welcome!",
    ),
    _language(
        r"(?:ich (?:heiße|heisse|bin|habe|hab|wohne|lebe|arbeite|mag|liebe|esse|trinke|spiele|komme|hasse"
        r"|spreche|studiere|lerne)|wir haben|wir wohnen|(?:mein|meine|unser|unsere) [^.]{1,40} (?:ist|sind"
        r"|war|heißt|heissen|heißen|hat|haben|wohnt|arbeitet)|nenn\w* mich)\b",
        r"(?:und )?(?:bitte )?(?:merk|behalt|vergiss)\w*\b[^.]{0,30}\b(?:das|es|dir|nicht)\b",
        r"\b(?:möchte|will|brauche|soll|kann|könnte|würde|muss|hilf\w*|wie|warum|fehler|problem|schreib\w*"
        r"|nenne|sag|erzähl\w*|mach\w*|töte\w*|umbring\w*|sterben|tot|gestorben|suizid\w*|selbstmord|bombe"
        r"|waffe\w*|gift|traurig|allein|einsam|angst|krank|krebs|schmerzen)\b",
        "Alles klar", "Verstanden", "Schön", "Freut mich", "Danke",
        "Das habe ich ", "Du ", "Dein", "Hallo", "Toll", "Herzlichen ", "Willkommen!",
    ),
    _language(
        r"(?:je (?:m'appelle|suis|vis|travaille|mange|bois|joue|préfère|parle|ne (?:mange|bois) pas)"
        r"|j'(?:ai|habite|aime|adore|étudie)|nous avons|nous habitons|(?:mon|ma|mes|notre"
        r"|nos) [^.]{1,40} (?:est|sont|était|s'appelle(?:nt)?|a|ont)|appelle[zs]?-moi)\b",
        r"(?:et )?(?:souviens-toi|souvenez-vous|retiens|retenez|rappelle-toi|n'oublie|note)\b",
        r"\b(?:veux|voudrais|besoin|dois|peux|pourrais|faut|aide\w*|comment|pourquoi|erreur|problème"
        r"|écri\w+|dis|donne|fais|tue\w*|mourir|mort\w*|suicid\w*|bombe|arme|drogue|poison|triste|seule?"
        r"|peur|malade|cancer|mal)\b",
        "D'accord", "C'est ", "Très bien", "Enchanté", "Merci", "Ravi",
        "Génial", "Bonjour", "Vous ",
        "Tu ", "Votre ", "Ton ", "Bienvenue !",
    ),
    _language(
        r"(?:yo )?(?:me llamo|soy|tengo|vivo|trabajo|como|bebo|(?:no )?me gustan?|no como|no bebo|prefiero"
        r"|hablo|juego|nací|tenemos|vivimos|me (?:mudé|he mudado)|(?:mi|mis|nuestr[oa]s?) [^.]{1,40} (?:es"
        r"|son|era|se llaman?|está|están|tiene)|ll[áa]mame)\b",
        r"(?:y )?(?:por favor,? )?(?:recu[eé]rda\w*|no (?:lo )?olvides|acu[eé]rdate|apunta)\b",
        r"\b(?:quiero|quisiera|necesito|debo|puedo|podría|ayuda\w*|cómo|por qué|error|problema|escribe"
        r"|dime|dame|haz|mata\w*|morir|murió|muert[oa]|suicid\w*|bomba|arma|droga\w*|veneno|triste|sol[oa]"
        r"|miedo|enferm[oa]|cáncer|dolor)\b",
        "De acuerdo", "Entendido", "Encantad", "Mucho gusto", "Gracias", "Muy bien",
        "Hola", "¡", "Qué ", "Tu ", "Tus ", "Tienes ", "Te ", "Genial",
        "Felicidades",
    ),
    _language(
        r"(?:io )?(?:mi chiamo|sono|ho|abito|vivo|lavoro|mangio|bevo|mi piac\w+|non mangio|preferisco"
        r"|parlo|abbiamo|mi sono trasferit[oa]|(?:il mio|la mia|i miei|le mie|mio|mia) [^.]{1,40} (?:è|sono"
        r"|era|si chiama(?:no)?|ha)|chiamami)\b",
        r"(?:e )?(?:per favore,? )?(?:ricorda\w*|non dimenticare\w*|tieni\w* a mente)\b",
        r"\b(?:voglio|vorrei|bisogno|devo|posso|potrei|aiut\w+|come (?:si|fare|faccio)|perché"
        r"|errore|problema|scrivi\w*|dimmi|dammi|uccid\w*|morire|mort[oa]|suicid\w*|bomba|arma|droga"
        r"|veleno|triste|sol[oa]|paura|malat[oa]|cancro|dolore)\b",
        "Va bene", "Capito", "D'accordo", "Piacere", "Grazie", "Bene",
        "Ciao", "Che ", "Ottimo", "Perfetto", "Hai ", "Abiti ", "Vivi ",
    ),
    _language(
        r"(?:eu )?(?:me chamo|chamo-me|sou|tenho|moro|vivo|trabalho|como|bebo|gosto|adoro|não como|prefiro"
        r"|falo|nasci|temos|(?:me )?mudei|(?:o )?(?:meu|meus)|(?:a |as )?minhas?|me chame|chama-me)\b",
        r"(?:e )?(?:por favor,? )?(?:lembr[ea]\w*|não (?:se |te )?esqueça\w*)\b",
        r"\b(?:quero|queria|preciso|devo|posso|poderia|ajud\w+|como (?:é|se)|por que|erro|problema|escreva"
        r"|diga|dê|faça|mata\w*|morrer|morreu|mort[oa]|suic\w+|bomba|arma|droga|veneno|triste|sozinh[oa]"
        r"|medo|doente|câncer|dor)\b",
        "Certo", "Entendido", "Prazer", "Obrigado", "Muito bem",
        "Olá", "Que ", "Ótimo", "Legal", "Você ", "Parabéns",
    ),
    _language(
        r"(?:我(?:叫|是|有|住|搬|喜欢|不喜欢|爱|不吃|不喝|今年|来自|对.{1,10}过敏|在.{1,10}(?:工作|上班"
        r"|上学))|我的?[^。]{1,20}(?:是|叫|在|有)|我们(?:有|住|家)|叫我)",
        r"(?:请|請)?(?:记住|記住|记得|别忘|不要忘)",
        r"想|要|需要|能|可以|怎么|怎样|为什么|吗|呢|帮|给我|写|告诉|问题|错误|杀|死|自杀|去世|炸弹|武器|毒"
        r"|偷|难过|害怕|生病|癌|痛",
        "好的", "明白", "知道了", "谢谢", "很高兴", "收到", "你好", "您好",
        "你", "您", "恭喜", "太好了",
    ),
    _language(
        r"(?:(?:私|僕|俺|わたし|うち)(?:は|の|には|も)|[^。]{1,40}(?:住んでいます|住んでいる|飼っています"
        r"|と申します|といいます|と言います|が好きです|がいます|がいる|と呼んで(?:ください)?)[。！]?\Z)",
        r"[^。]{0,20}(?:覚えて|忘れないで)",
        r"たい|欲しい|ほしい|教え|方法|どう|なぜ|助け|手伝|書い|(?<!覚えて)(?<!ないで)(?<!呼んで)ください"
        r"|殺|死|自殺|爆弾|武器|毒|盗|悲し|怖|病気|癌|がん|痛",
        "わかりました", "分かりました", "了解", "承知", "ありがとう", "はじめまして", "なるほど",
        "それは", "素敵", "いいですね", "よろしく", "おめでとう", "あなた",
    ),
)  # fmt: skip
# "Translate into English: I have lost my key." tells nothing of the user's.
_OF_A_TEXT = re.compile(
    r"[^:：\n]{0,40}(?:\b(?:translat|correct|fix|proofread|re-?write|rewrit|re-?phras|paraphras|reword|improv"
    r"|polish|summari[sz]|shorten|simplif|check|spell|explain|analy[sz]|repeat|continue|complete"
    r"|übersetz|korrigier|verbesser|berichtig|formulier|umformulier|schreib|umschreib|fass|kürz|prüf|vereinfach"
    r"|erklär|wiederhol|ergänz|vervollständig"
    r"|tradui|corrig|reformul|résum|amélior|vérifi|simplifi|expliqu|répét|répèt|complèt|complét|réécri"
    r"|traduc|traduz|corrij|corregg|reescrib|riscriv|reescrev|resum|riassum|mejor|miglior|melhor|revis"
    r"|controll|simplific|semplific|expliqu|explic|spieg|repit|ripet|acort|accorci|complet)\w*"
    r"|翻译|翻譯|译成|译为|改正|修改|纠正|糾正|润色|改写|改寫|总结|總結|缩写|解释|訳|直し|添削|書き直|書き換え|要約|言い換え)"
    r"[^:：\n]{0,40}[:：]",
    re.IGNORECASE,
)
_GREETS = re.compile(
    r"(?:hi|hello|hey|hallo|guten tag|bonjour|salut|hola|buenos días|ciao|olá|oi|你好|您好|こんにちは"
    r"|はじめまして)[^\w]*\Z",
    re.IGNORECASE,
)


_OF_THE_USER = {
    "Got it": ("my ",),
    "Alles klar": ("mein",),
    "D'accord": ("mon ", "ma ", "mes "),
    "De acuerdo": ("mi ", "mis "),
    "Va bene": ("mio", "mia ", "miei", "mie "),
    "Certo": ("meu", "minha"),
}
"""By a language's first opening: how its users speak of what is theirs, for `gbnf.without_words`."""


class Note(msgspec.Struct, frozen=True):
    """How an answer begins that takes note of something, and words that are not in it; empty where the answer
    may be any.
    """

    openings: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


def note_of(text: str) -> Note:
    """Return how the user's `text` is answered, where it tells facts and nothing else."""
    text = text.strip().translate(_CURLY)
    if len(text) > _LONGEST or _ASKS.search(text) or _OF_A_TEXT.match(text):
        return Note()
    sentences = [each.strip() for each in _SENTENCES.split(text) if each.strip()]
    told = [each for each in sentences if not _GREETS.match(each)]
    if not told:
        return Note()
    # Neighbouring languages have beginnings in common: the model knows which one it is.
    spoken = [
        language
        for language in _LANGUAGES
        if not language.else_.search(text)
        and all(language.facts.match(each) or language.remember.match(each) for each in told)
    ]
    openings = tuple(opening for language in spoken for opening in language.openings)
    never = tuple(word for language in spoken for word in _OF_THE_USER.get(language.openings[0], ()))
    return Note(openings, never)
