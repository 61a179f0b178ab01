"""All that is fuzzed."""

from tests.fuzz import (
    agent_texts,
    documents,
    door,
    formats,
    office_files,
    output_schemas,
    outside,
    provider,
    requests,
    server_events,
    session_keys,
    settings_files,
    settings_providers,
    small_model,
    transcripts,
    uploads,
)
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    *requests.TARGETS,
    *session_keys.TARGETS,
    *server_events.TARGETS,
    *provider.TARGETS,
    *formats.TARGETS,
    *transcripts.TARGETS,
    *output_schemas.TARGETS,
    *settings_files.TARGETS,
    *settings_providers.TARGETS,
    *small_model.TARGETS,
    *office_files.TARGETS,
    *uploads.TARGETS,
    *documents.TARGETS,
    *door.TARGETS,
    *agent_texts.TARGETS,
    *outside.TARGETS,
)


def target(name: str) -> Target:
    return next(one for one in TARGETS if one.name == name)
