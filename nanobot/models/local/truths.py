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
_CLAIM = re.compile(
    r"(?:\b(?:I['’]m|I am|I was|ich bin|ich wurde|je suis|j['’]ai été|(?:yo )?soy|fui|sono|sono st"
    r"at[oa]|(?:eu )?sou|my (?:creator|maker|name)s? (?:is|are|was))\b"
    rf"|\b(?:{_MADE})\b (?:by|von|par|por|da|dalla|pela|pelo)\b|我是|我由|由|私は|僕は)"
    rf"(?:(?!\b(?:not|nicht|kein\w*|no|pas|non|não|n['’]t)\b|不|ない|ません)[^.!?。！？\n]){{0,60}}?(?:{MAKERS.pattern}"
    rf")",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,'’\u00a0\u202f ]\d{3})*(?:[.,]\d+)?")
_DIGITS = re.compile(r"\d+")
_SMALL = 20
_BEGINS = re.compile(
    r"\b(?:I['’]m|I am|I was|as an? (?:AI|language)|my (?:creator|maker|name)|ich|je suis|j['’]ai|"
    r"soy|fui|sono|sou)\b"
    rf"|\b(?:{_MADE})\b|我|由|私|僕",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!?。！？\n]")
_SAMPLE_CHARS = 200
_WHO = {
    "ich": "Ich bin {name}, dein persönlicher Assistent.",
    "je": "Je suis {name}, votre assistant personnel.",
    "j": "Je suis {name}, votre assistant personnel.",
    "soy": "Soy {name}, tu asistente personal.",
    "yo": "Soy {name}, tu asistente personal.",
    "fui": "Soy {name}, tu asistente personal.",
    "sono": "Sono {name}, il tuo assistente personale.",
    "sou": "Sou o {name}, o seu assistente pessoal.",
    "eu": "Sou o {name}, o seu assistente pessoal.",
    "我": "我是 {name}，你的个人助手。",
    "私": "私は {name}、あなたのアシスタントです。",
    "僕": "私は {name}、あなたのアシスタントです。",
}
_WHO_IN_ENGLISH = "I'm {name}, your personal assistant."


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
            before = self._release(max(self._passed, claim.start()))
            self._passed = len(self._seen)
            return before + _who(claim[0]).replace("{name}", self._name)
        return self._release(self._safe())

    def rest(self) -> str:
        """Return what is still held back, at the end of the answer."""
        return "" if self.was_wrong else self._release(len(self._seen))

    def _safe(self) -> int:
        """Return up to where the text cannot become a part of a claim."""
        end = len(self._seen) - (16 if self._seen.isascii() else 6)
        for begin in _BEGINS.finditer(self._seen, self._passed):
            if not _ENDS.search(self._seen, begin.end()) and len(self._seen) - begin.start() < 90:
                return min(end, begin.start())
        return end

    def _claim(self) -> re.Match[str] | None:
        match = _CLAIM.search(self._seen)
        if match is None or match.start() >= _SAMPLE_CHARS:
            return None
        maker = MAKERS.findall(match[0])[-1].lower()
        if maker in self._instructions:
            return None
        asks = "?" in self._question or "？" in self._question
        return match if asks or maker not in self._question else None

    def _release(self, end: int) -> str:
        end = max(self._passed, end)
        text, self._passed = self._seen[self._passed : end], end
        return text


def _who(claim: str) -> str:
    first = re.split(r"[\s'’]", claim.lower())[0]
    return _WHO.get(first) or _WHO.get(first[:1], _WHO_IN_ENGLISH)


def says_result(answer: str, result: str) -> bool:
    """Return whether the answer has the result of a calculation in it, as it is or rounded.

    A small number may be written as a word, where the answer has no other.
    """
    digits = re.sub(r"\D", "", result)
    numbers = [re.sub(r"\D", "", number) for number in _NUMBER.findall(answer)]
    if not numbers:
        try:
            return abs(float(result)) <= _SMALL
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
