"""Which of several models answered, as the API tells it."""

import msgspec

from nanobot.core.event import ModelChosen


def choice_fields(event: ModelChosen) -> dict[str, object]:
    """Return the fields of the event `model_chosen`."""
    return {
        "model": event.model,
        "passed_over": [msgspec.structs.asdict(each) for each in event.passed_over],
    }
