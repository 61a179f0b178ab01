"""What a refusal of the Messages API proposes to leave out.

The models of the API differ in what they take, and a list of them would be out of date with the next one. A
refusal is believed where it names a field at the beginning of its message, and remembered where it speaks of
the model, not of one request's value.
"""

import re
from collections.abc import Iterator
from typing import Literal

from nanobot.core.late_pattern import LatePattern
from nanobot.core.model import ModelRequest
from nanobot.models.lessons import Lesson, named
from nanobot.models.negotiation import Proposal
from nanobot.models.objections import RefusalText

_Subject = Literal["sampling", "tool_choice", "thinking", "replay", "output_limit"]

_SUBJECTS: tuple[tuple[_Subject, LatePattern[str]], ...] = (
    ("output_limit", LatePattern(r"max_tokens: (\d+) > (\d+)")),
    ("sampling", LatePattern(r"`?(?:temperature|top_p|top_k)\b")),
    (
        "tool_choice",
        LatePattern(r"tool_choice\b|`?thinking`? may not be enabled when `?tool_choice", re.IGNORECASE),
    ),
    (
        "replay",
        LatePattern(
            r"messages\.\d+\.content\.\d+[\w.]*: .*(?:`thinking`|redacted_thinking|thinking block|signature)"
        ),
    ),
    ("replay", LatePattern(r"messages\.\d+\.content\.\d+\.thinking\b")),
    (
        "thinking",
        LatePattern(
            r"[\"'`]?(?:thinking|output_config)\b|adaptive thinking\b|this model does not support the effort",
            re.IGNORECASE,
        ),
    ),
)
_OF_THE_MODEL = LatePattern(r"max_tokens: |(?!.*disabled).*(?:this model|bound to a different conversation)")
"""Refusals that other requests would meet too. That thinking cannot be switched off is no reason to go
without its other settings.
"""


def proposals(request: ModelRequest, text: RefusalText, lessons: frozenset[Lesson]) -> Iterator[Proposal]:
    """Yield what may be left out. The names of `omit` are `sampling` (temperature and top_p), `tool_choice`
    (one that forces a call) and `thinking` (the settings of thinking and effort).
    """
    message = text.message
    if text.begins_with_a_quotation:
        return
    for subject, pattern in _SUBJECTS:
        found = pattern.match(message)
        if found is None:
            continue
        lesson = learnt = Lesson("omit", subject)
        if subject == "output_limit":
            lesson = learnt = Lesson("output_limit", found[2])
        elif subject == "replay":
            # This request goes without all earlier thinking, which is certain to help; later ones try with
            # that of their own turn first, where it matters most.
            lesson = Lesson("replay", "none")
            learnt = Lesson("replay", "none" if named(lessons, "replay") else "turn")
        yield Proposal(lesson, learnt if _OF_THE_MODEL.match(message) else None)
        return
