"""What people tell, ask later in the same words, and ask in quite other words: in six languages."""

from bench.memory.language import Language
from bench.memory.languages.arabic import AR
from bench.memory.languages.chinese import ZH
from bench.memory.languages.english import EN
from bench.memory.languages.german import DE
from bench.memory.languages.japanese import JA
from bench.memory.languages.korean import KO

LANGUAGES: dict[str, Language] = {"en": EN, "de": DE, "zh": ZH, "ja": JA, "ko": KO, "ar": AR}
