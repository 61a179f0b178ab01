"""Images in requests, and what stands for one."""

NO_IMAGE_NOTE = "(An image came with this message; you cannot see it.)"
"""Where the model takes none."""


def sent_detail(detail: str | None, *, is_openai: bool) -> str | None:
    """Return how closely a provider is asked to look: others than OpenAI have no `original`."""
    return "high" if detail == "original" and not is_openai else detail
