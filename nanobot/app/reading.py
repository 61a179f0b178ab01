"""What a server reads of others: files, URLs, JSON schemas."""

from nanobot.app import settings
from nanobot.app.resources import AppResources
from nanobot.reading.documents import DocumentReader
from nanobot.reading.fetch import Fetcher
from nanobot.reading.schemas import WorkerSchemas
from nanobot.workers.pool import WorkerPool


class Reading:
    """The readers of what comes from outside, within the bounds of the settings, and the processes that they
    work in.
    """

    def __init__(self, resources: AppResources) -> None:
        config = resources.config
        self.workers = WorkerPool(clock=resources.clock)
        self.documents = DocumentReader(self.workers, settings.document_bounds(config))
        self.schemas = WorkerSchemas(self.workers, settings.schema_bytes(config))
        self.fetcher = resources.fetcher or Fetcher(
            settings.fetch_bounds(config), hosts=settings.host_rules(config)
        )
