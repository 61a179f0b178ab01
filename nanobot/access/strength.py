"""Whether an API key that somebody chose can be guessed."""

import re

from nanobot.core.late_pattern import LatePattern

LEAST_CHARS = 16
_LEAST_DISTINCT = 6
_LEAST_REST = 10
_WORDS = LatePattern(
    r"pass(?:word|phrase|wd)?|change[-_ ]?(?:me|this|it)?|secret|token|api|key|nano|bot|admin|root|user"
    r"|test(?:ing)?|example|sample|demo|dummy|default|local(?:host)?|server|master|private|public|your?|my|here"
    r"|please|insert|replace|welcome|hello|let[-_ ]?me[-_ ]?in|qwert(?:y|z)(?:uiop)?|asdf(?:gh(?:jkl)?)?"
    r"|abc(?:def)?|sesame|open|foo|bar|baz|x{3,}|correct|horse|battery|staple|(?:sk|nb|pk)(?=[-_])",
    re.IGNORECASE,
)
"""What keys are made of that stand in examples, or come to mind first."""
_RUN_CHARS = 4


def weakness(key: str) -> str | None:
    """Return why `key` can be guessed, for the end of a sentence; None where it is good enough."""
    if len(key) < LEAST_CHARS:
        return f"has {len(key)} characters: at least {LEAST_CHARS} are needed"
    if len(set(key)) < _LEAST_DISTINCT:
        return "repeats a few characters"
    rest = _without_runs(_WORDS.sub("", key))
    if len(re.sub(r"[^0-9A-Za-z]", "", rest)) < _LEAST_REST or len(set(rest)) < _LEAST_DISTINCT - 1:
        return "is made of words or numbers that come first to mind"
    return None


def _without_runs(text: str) -> str:
    """Return the text without the runs in it that count up, count down or stay the same: `12345`, `aaaa`."""
    kept: list[str] = []
    run = ""
    for character in text:
        step = ord(character) - ord(run[-1]) if run else 0
        goes_on = abs(step) <= 1 if len(run) < 2 else step == ord(run[1]) - ord(run[0])
        if goes_on:
            run += character
            continue
        kept.append(run if len(run) < _RUN_CHARS else "")
        run = character
    return "".join([*kept, run if len(run) < _RUN_CHARS else ""])
