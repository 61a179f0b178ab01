"""What a refusal objects to, in words of its own."""

import msgspec
import pytest

from nanobot.models.objections import OBJECTIONS, ObjectionWording, RefusalText
from nanobot.models.refusals import read_refusal

SENT = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


def text(words: str, sent: bytes = SENT) -> RefusalText:
    return RefusalText(read_refusal(msgspec.json.encode({"error": {"message": words}})), sent)


@pytest.mark.parametrize("wording", OBJECTIONS, ids=[wording.example[:40] for wording in OBJECTIONS])
def test_each_wording_objects_to_what_its_row_says(wording: ObjectionWording) -> None:
    assert text(wording.example).objection(wording.objection)


@pytest.mark.parametrize("wording", OBJECTIONS, ids=[wording.example[:40] for wording in OBJECTIONS])
def test_the_words_of_the_user_object_to_nothing(wording: ObjectionWording) -> None:
    sent = msgspec.json.encode({"messages": [{"role": "user", "content": f"Explain: {wording.example}"}]})
    assert not text(f"Bad content: Explain: {wording.example}", sent).objection(wording.objection)


@pytest.mark.parametrize("words", ["temperature must be below 2", "no", "messages: roles must alternate"])
def test_other_words_object_to_nothing(words: str) -> None:
    assert not any(text(words).objection(wording.objection) for wording in OBJECTIONS)
