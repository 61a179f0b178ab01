"""Words of a refusal, and what they mean."""

from typing import Literal

import msgspec

Meaning = Literal[
    "rate_limit",
    "quota",
    "unpaid",
    "bad_key",
    "no_model",
    "bad_luck",
    "answer_limit",
    "flagged",
    "overflow",
]
"""`bad_luck`: the model's sampling went wrong, and the same request may succeed. `unpaid`: the account is
empty, `quota`: its plan is used up; no pause mends either. `answer_limit`: the limit of the answer is one
that the model does not take. `flagged`: what was asked is against the rules of the provider.
"""


class Wording(msgspec.Struct, frozen=True):
    """Words of a refusal.

    `pattern` is searched without case; its group `limit` is the size in tokens that the prompt was over.
    `example` are the words as a provider wrote them, `limit` the one that is named there.
    """

    meaning: Meaning
    pattern: str
    example: str
    limit: int | None = None
