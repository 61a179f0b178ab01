"""The way into a server: requests become turns, and answers go out."""

from nanobot.access.admission import Gate
from nanobot.agent.loop import Agent
from nanobot.app import settings
from nanobot.app.accounts import AccountsInUse
from nanobot.app.reading import Reading
from nanobot.app.resources import AppResources
from nanobot.submit.attachments import Attachments
from nanobot.submit.deliveries import Deliveries
from nanobot.submit.followers import Followers
from nanobot.submit.kept_files import KeptFiles
from nanobot.submit.submitter import Submitter


class Submitting:
    """`submitter` takes requests for turns, for the agent. `attachments` reads what they refer to,
    `followers` knows who waits for their answers, `deliveries` which of these have arrived.
    """

    def __init__(
        self, resources: AppResources, accounts: AccountsInUse, reading: Reading, agent: Agent
    ) -> None:
        config, store, clock = resources.config, resources.store, resources.clock
        models, personas = resources.models, resources.personas
        self.deliveries = Deliveries(store)
        self.followers = Followers(store, clock, config.api.disconnect_grace_s, self.deliveries)
        self.attachments = _attachments(resources, reading)
        self.submitter = Submitter(
            store,
            Gate(store, accounts.quotas, self.followers.left),
            self.attachments,
            reading.schemas,
            self.followers,
            resources.audit,
            clock,
            resources.randomness,
            check_length=lambda turn: agent.check_length(turn, models.get(turn.model or turn.default_model)),
            model_of=lambda session_key: personas.of(session_key).model,
            audio_models=settings.audio_models(models),
            most_pictures=lambda name: settings.most_pictures(models, config.agent.window_tokens, name),
        )


def _attachments(resources: AppResources, reading: Reading) -> Attachments:
    config, store = resources.config, resources.store
    keeping = settings.file_settings(config)
    kept_files = KeptFiles(
        store,
        resources.clock,
        resources.randomness,
        quota_bytes=keeping.quota_bytes,
        ttl_s=keeping.ttl_s,
        commands=config.shell.sessions,
    )
    fetcher = reading.fetcher if config.files.fetch else None
    return Attachments(store, reading.documents, fetcher, kept_files)
