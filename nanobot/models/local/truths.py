"""What the server knows better than a small model: the result of a calculation, and who the model is."""

import re

from nanobot.core.persona import DEFAULT_NAME

MAKERS = re.compile(
    r"OpenAI|ChatGPT|GPT-?\d\w*|Alibaba(?: Cloud)?|Qwen|通义\w*|阿里\w*|Anthropic|Claude|Gemini|DeepSe"
    r"ek|Meta AI|Llama"
    r"|Microsoft|Google|Hugging ?Face|Mistral",
    re.IGNORECASE,
)
_MADE = (
    "made|created|developed|built|trained|designed|provided|powered|programmed"
    "|entwickelt|erschaffen|geschaffen|erstellt|gemacht|trainiert"
    "|créée?|développée?|conçue?|entraînée?|creado|creada|desarrollado|desarrollada|entrenado"
    "|creato|creata|sviluppato|sviluppata|addestrato|criado|criada|desenvolvido|desenvolvida|treinado"
)
# "I am …", "I was made by …" in a sentence, without a negation before the maker's name.
_NEGATION = r"\b(?:not|nicht|kein\w*|no|pas|non|não|n['’]t)\b|不|ない|ません"
_OF_ITSELF = (
    r"\b(?:I['’]m|I am|I was|I['’]ve been|I have been|ich bin|ich wurde|(?:bin|wurde) ich|je suis|j['’]ai été"
    r"|(?:yo )?soy|fui|he sido|sono|sono stat[oa]|(?:eu )?sou|my (?:creator|maker|name)s? (?:is|are|was))\b"
    r"|我是|我由|由|私は|僕は"
)
_CLAIM = re.compile(
    rf"(?:{_OF_ITSELF}|(?P<made>\b(?:{_MADE})\b (?:by|von|par|por|da|dalla|pela|pelo)\b))"
    rf"(?P<between>(?:(?!{_NEGATION})[^.!?。！？\n]){{0,60}}?)(?:{MAKERS.pattern})",
    re.IGNORECASE,
)
# A negation right before it, as in "non sono", "no soy".
_NEGATED = re.compile(r"\b(?:non|no|não)\s*\Z", re.IGNORECASE)
# Who is glad to help with another's product does not claim to be one.
_HELPS = re.compile(
    r"\b(?:help\w*|assist|happy|glad|pleased|sure|familiar|able|sorry|afraid|aware|here to|helfen|behilflich"
    r"|gerne?|froh|leider|sicher|vertraut|heureu\w+|ravie?|désolée?|aider|feli[zc]\w*|encantad[oa]|ayudar\w*"
    r"|segur[oa]|lieto|lieta|aiutar\w*|sicur[oa]|ajudar\w*|cert[oa])\b|帮|手伝",
    re.IGNORECASE,
)
_IS_MADE = re.compile(rf"\b(?:{_MADE})\b", re.IGNORECASE)
# Whoever is "made by" another is the assistant where nobody else is spoken of: at the beginning of a
# sentence, or behind words for an assistant.
_AN_AI = re.compile(r"\W*as an? (?:AI|language)\b.*", re.IGNORECASE | re.DOTALL)
_ASSISTANT = (
    r"\b(?:this|the|dieses|dieser|das|der|ce|cet|le|l['’]|este|el|questo|quest['’]|il|o)\s?"
    r"(?:AI|KI|IA|assistant|model|language|modell|sprachmodell|assistent|modèle|modelo|asistente|assistente"
    r"|modello)\b"
)
_AN_ASSISTANT = re.compile(rf"\W*(?:{_ASSISTANT}.*)?", re.IGNORECASE | re.DOTALL)
_ADDRESSES = re.compile(
    r"\b(?:you|your|du|dich|dir|dein\w*|sie|ihr|tu|te|toi|vous|usted|ti|lei|você|te|hizo|creó)(?!\w)|\bt['’]"
    r"|你|您|あなた|君",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d{3})*(?:[.,]\d+)?")
_DIGITS = re.compile(r"\d+")
_SMALL = 20
_BEGINS = re.compile(
    r"\b(?:I['’]m|I am|I was|I['’]ve been|I have been|as an? (?:AI|language)|my (?:creator|maker|name)"
    r"|ich|bin ich|wurde ich|je suis|j['’]ai|soy|fui|he sido|sono|sou)\b"
    rf"|{_ASSISTANT}|\b(?:{_MADE})\b|我|由|私|僕",
    re.IGNORECASE,
)
_CJK = re.compile("[\u3040-\u9fff]")
_ENDS = re.compile(r"[.!?。！？\n]")
_SAMPLE_CHARS = 200
# How an answer begins that agrees with the question or leads up to a claim.
_AGREES = re.compile(
    r"\W*(?:(?:yes|yeah|yep|correct|ja|jawohl|genau|oui|sí|si|sì|sim|certo|exacto|as an? (?:AI|language))"
    r"(?!\w)"
    r"|はい|ええ|そうです|是的?|对的?|對的?|没错)"
    r"[^.!?。！？\n]{0,24}[.!。！]?\s{0,2}",
    re.IGNORECASE,
)
_ENGLISH = ("I'm {name}, your personal assistant.", "No. ")
_GERMAN = ("Ich bin {name}, dein persönlicher Assistent.", "Nein. ")
_FRENCH = ("Je suis {name}, votre assistant personnel.", "Non. ")
_SPANISH = ("Soy {name}, tu asistente personal.", "No. ")
_PORTUGUESE = ("Sou o {name}, o seu assistente pessoal.", "Não. ")
_CHINESE = ("我是 {name}，你的个人助手。", "不是。")
_JAPANESE = ("私は {name}、あなたのアシスタントです。", "いいえ。")
_ITALIAN = ("Sono {name}, il tuo assistente personale.", "No. ")
# By who has made it, in the words of a claim.
_MADE_BY = {
    "by": _ENGLISH,
    "von": _GERMAN,
    "par": _FRENCH,
    "por": _SPANISH,
    "da": _ITALIAN,
    "dalla": _ITALIAN,
    "pela": _PORTUGUESE,
    "pelo": _PORTUGUESE,
}
# By the first word of a claim: who the agent is, and how a question is answered with no.
_WHO = {
    "ich": _GERMAN,
    "bin": ("bin ich {name}, dein persönlicher Assistent.", "Nein. "),
    "wurde": ("bin ich {name}, dein persönlicher Assistent.", "Nein. "),
    "je": _FRENCH,
    "j": _FRENCH,
    "soy": _SPANISH,
    "yo": _SPANISH,
    "fui": _SPANISH,
    "he": _SPANISH,
    "sono": _ITALIAN,
    "sou": _PORTUGUESE,
    "eu": _PORTUGUESE,
    "我": _CHINESE,
    "由": _CHINESE,
    "私": _JAPANESE,
    "僕": _JAPANESE,
}


class MakerGuard:
    """Holds back a claim at the beginning of an answer that the model is another maker's product, and says
    who it is instead: the agent `name`.

    A claim that the client's `instructions` bring along, or the user's `question` does in other words than a
    question, is left alone. Only what may become a claim waits; the rest is passed on as it comes.
    """

    def __init__(self, question: str, instructions: str, name: str = DEFAULT_NAME) -> None:
        self._question = question.lower()
        self._instructions = instructions.lower()
        self._name = name
        self._seen = ""
        self._passed = 0
        self.was_wrong = False
        """A claim was replaced: what the model writes after it is of no use."""

    def pass_on(self, text: str) -> str:
        """Return what may be shown now that the model wrote `text`."""
        self._seen += text
        if self.was_wrong:
            return ""
        if self._passed >= _SAMPLE_CHARS:
            return self._release(len(self._seen))
        claim = self._claim()
        if claim is not None:
            self.was_wrong = True
            start = max(self._passed, self._start(claim.start()))
            agrees = start < claim.start()
            if claim["made"] is not None:
                # The subject goes, too; the first sentence's may have been shown.
                start = max(self._passed, min(start, self._sentence(claim.start())))
            truth = self._truth(claim[0], self._seen[:start], agrees=agrees)
            before = self._release(start)
            self._passed = len(self._seen)
            return before + truth
        return self._release(self._safe())

    def rest(self) -> str:
        """Return what is still held back, at the end of the answer."""
        return "" if self.was_wrong else self._release(len(self._seen))

    def _safe(self) -> int:
        """Return up to where the text cannot become a part of a claim."""
        end = len(self._seen) - (6 if _CJK.search(self._seen) else 16)
        for begin in _BEGINS.finditer(self._seen, self._passed):
            if not _ENDS.search(self._seen, begin.end()) and len(self._seen) - begin.start() < 90:
                return min(end, self._start(begin.start()))
        return end if self._start(len(self._seen)) else 0

    def _start(self, claim: int) -> int:
        """Return where the text begins that goes with a claim: before a `Yes, ` at the beginning."""
        return 0 if self._passed == 0 and _AGREES.fullmatch(self._seen, 0, claim) else claim

    def _sentence(self, at: int) -> int:
        """Return where the sentence begins that `at` is in."""
        ends = [end.end() for end in _ENDS.finditer(self._seen, 0, at)]
        start = ends[-1] if ends else 0
        return at - len(self._seen[start:at].lstrip())

    def _claim(self) -> re.Match[str] | None:
        claims = (match for match in _CLAIM.finditer(self._seen) if self._is_of_itself(match))
        match = next(claims, None)
        if match is None or match.start() >= _SAMPLE_CHARS:
            return None
        maker = MAKERS.findall(match[0])[-1].lower()
        if maker in self._instructions:
            return None
        asks = "?" in self._question or "？" in self._question
        return match if asks or maker not in self._question else None

    def _is_of_itself(self, match: re.Match[str]) -> bool:
        """Return whether the words are about the assistant, and say what it is."""
        before = _ENDS.split(self._seen[: match.start()])[-1]
        if match["made"] is None:
            helps = _HELPS.search(match["between"]) and not _IS_MADE.search(match["between"])
            return not helps and not _NEGATED.search(before)
        if _AN_AI.fullmatch(before):
            return True
        return bool(_AN_ASSISTANT.fullmatch(before) and _ADDRESSES.search(self._question))

    def _truth(self, claim: str, before: str, *, agrees: bool) -> str:
        """Return who the agent is, to stand in the place of `claim`, behind the text `before`.

        A question for another maker's model that the claim `agrees` with is answered with no.
        """
        words = re.split(r"[\s'’]", f"{claim.lower()} ")
        who, no = _WHO.get(words[0]) or _WHO.get(words[0][:1]) or _MADE_BY.get(words[1], _ENGLISH)
        if agrees and MAKERS.findall(claim)[-1].lower() in self._question:
            who = no + who
        elif before.strip() and not _ENDS.match(before.rstrip()[-1]) and not who.startswith("I'"):
            who = who[0].lower() + who[1:]
        return who.replace("{name}", self._name)

    def _release(self, end: int) -> str:
        end = max(self._passed, end)
        text, self._passed = self._seen[self._passed : end], end
        return text


def says_result(answer: str, result: str) -> bool:
    """Return whether the answer has the result of a calculation in it, as it is or rounded.

    A small whole number may be written as a word, where the answer has no other.
    """
    digits = re.sub(r"\D", "", result)
    numbers = [re.sub(r"\D", "", number) for number in _NUMBER.findall(answer)]
    if not numbers:
        try:
            return float(result).is_integer() and abs(float(result)) <= _SMALL
        except ValueError:
            return False
    # A list of numbers may have been taken for one with separators.
    if digits in numbers or digits in _DIGITS.findall(answer):
        return True
    return "." in result and any(
        # All digits but the last, which may have been rounded up.
        digits.startswith(number) or (len(number) > 1 and digits.startswith(number[:-1]))
        for number in numbers
    )
