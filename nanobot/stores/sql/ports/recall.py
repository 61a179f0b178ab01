"""`core.recall.MessageSearch`: old messages are looked for."""

from collections.abc import Sequence
from functools import partial

from nanobot.core.recall import Passage, Reach
from nanobot.core.vectors import Near
from nanobot.stores.sql import reached_lines, recall
from nanobot.stores.sql.common_terms import CommonTerms
from nanobot.stores.sql.ports.shared import Shared


class SqlMessageSearch:
    """Old messages in an SQL database."""

    def __init__(self, shared: Shared) -> None:
        self._database = shared.database
        self._index = shared.index
        self._vectors = shared.vectors
        self._common_terms = CommonTerms()

    async def search_messages(
        self,
        text: str,
        reach: Sequence[Reach],
        *,
        limit: int,
        skip: int = 0,
        characters: int = 400,
        is_asked: bool = True,
    ) -> tuple[Passage, ...]:
        query = partial(
            recall.search,
            index=self._index,
            text=text,
            reach=reach,
            limit=limit,
            skip=skip,
            characters=characters,
            is_asked=is_asked,
            near=await self._near(text, reach, is_asked=is_asked),
            common_terms=self._common_terms,
        )
        hits = await self._database.read(partial(query, waits=True))
        if hits.behind:
            for session in hits.behind:
                while await self._database.write_piece(partial(self._index.index_session, session=session)):
                    pass
            hits = await self._database.read(query)
        return hits.passages

    async def _near(self, text: str, reach: Sequence[Reach], *, is_asked: bool) -> Sequence[Near]:
        """Return the messages in reach that are near the text in meaning, where that can be told."""
        if self._vectors is None or not recall.says_enough(text):
            return ()
        ranges = await self._database.read(partial(reached_lines.ranges, reach=reach))
        return await self._vectors.nearest(text, ranges, patient=is_asked) if ranges else ()
