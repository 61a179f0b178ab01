"""`core.store.Store`: the sum of the ports over one database."""

import asyncio
from collections.abc import Iterable

from nanobot.core.accounts import PriceList
from nanobot.core.clock import Clock
from nanobot.core.observer import NULL_OBSERVER, Observer
from nanobot.core.store import Limits
from nanobot.core.vectors import Vectors
from nanobot.stores.live.live import Live
from nanobot.stores.live.turn import LiveTurn
from nanobot.stores.sql import topics
from nanobot.stores.sql.db import Database, SearchIndex
from nanobot.stores.sql.ports.accounts import SqlAccounts
from nanobot.stores.sql.ports.approvals import SqlApprovals
from nanobot.stores.sql.ports.compactions import SqlCompactions
from nanobot.stores.sql.ports.deleting import Deleting
from nanobot.stores.sql.ports.dispatch import SqlDispatch
from nanobot.stores.sql.ports.embeddings import SqlEmbeddings
from nanobot.stores.sql.ports.extractions import SqlExtractions
from nanobot.stores.sql.ports.memory import SqlMemory
from nanobot.stores.sql.ports.people import SqlPeople
from nanobot.stores.sql.ports.recall import SqlMessageSearch
from nanobot.stores.sql.ports.responses import SqlResponses
from nanobot.stores.sql.ports.sessions import SqlSessions
from nanobot.stores.sql.ports.shared import AccountNews, Blobs, CommandQueue, Shared, WorkspaceContents
from nanobot.stores.sql.ports.turns import SqlTurns
from nanobot.stores.sql.ports.uploads import SqlUploads
from nanobot.stores.sql.turns import Unended


class SqlStore:
    """`core.store.Store` on an SQL database: each method is that of the port that it belongs to.

    `owner` names this process where several use the database; `unended` are the turns that had not ended when
    it was opened. `probe` commits something that changes nothing. `vectors`: what tells which texts mean much
    the same; None: texts are compared by their words alone.
    """

    def __init__(
        self,
        database: Database,
        *,
        index: SearchIndex,
        blobs: Blobs,
        workspaces: WorkspaceContents,
        owner: str,
        unended: Iterable[Unended],
        clock: Clock,
        limits: Limits | None = None,
        prices: PriceList | None = None,
        observer: Observer = NULL_OBSERVER,
        vectors: Vectors | None = None,
    ) -> None:
        live = Live()
        limits = limits or Limits()
        shared = Shared(
            database=database,
            live=live,
            commands=CommandQueue(live, owner, limits.memory),
            news=AccountNews(),
            index=index,
            blobs=blobs,
            workspaces=workspaces,
            clock=clock,
            limits=limits,
            prices=prices or PriceList(),
            observer=observer,
            vectors=vectors,
        )
        for turn in unended:
            live.open(LiveTurn(turn.id, turn.added, session_key=turn.session_key, input=turn.input))
            for joined in turn.joined:
                live.share(turn.id, joined)
        self.database = database
        self.room = database.room
        self._blobs, self._workspaces = blobs, workspaces
        self._is_closed = False
        self.hang_up = live.end

        self._offer_turns(SqlTurns(shared))
        self._offer_dispatch(SqlDispatch(shared))
        deleting = Deleting(shared)
        self._offer_sessions(SqlSessions(shared, deleting))
        self._offer_people(SqlPeople(shared, deleting))
        self._offer_compactions(SqlCompactions(shared))
        self._offer_extractions(SqlExtractions(shared))
        self._offer_embeddings(SqlEmbeddings(shared))
        self._offer_message_search(SqlMessageSearch(shared))
        self._offer_memory(SqlMemory(shared))
        self._offer_responses(SqlResponses(shared))
        self._offer_uploads(SqlUploads(shared))
        self._offer_approvals(SqlApprovals(shared))
        self._offer_accounts(SqlAccounts(shared))

    async def warm(self) -> None:
        await asyncio.to_thread(topics.load)

    def _offer_turns(self, turns: SqlTurns) -> None:
        self.admit = turns.admit
        self.knows = turns.knows
        self.shared = turns.shared
        self.turn = turns.turn
        self.follow = turns.follow
        self.ended = turns.ended
        self.cancel = turns.cancel
        self.delivered = turns.delivered

    def _offer_dispatch(self, dispatch: SqlDispatch) -> None:
        self.orders = dispatch.orders
        self.stop_orders = dispatch.stop_orders
        self.history = dispatch.history
        self.append = dispatch.append
        self.show = dispatch.show
        self.audience = dispatch.audience
        self.take_back = dispatch.take_back
        self.release = dispatch.release
        self.waiting = dispatch.waiting

    def _offer_sessions(self, sessions: SqlSessions) -> None:
        self.sessions = sessions.sessions
        self.search = sessions.search
        self.index_messages = sessions.index_messages
        self.session = sessions.session
        self.identify = sessions.identify
        self.identities = sessions.identities
        self.messages = sessions.messages
        self.message_page = sessions.message_page
        self.branches = sessions.branches
        self.watch = sessions.watch
        self.rename_session = sessions.rename_session
        self.choose_model = sessions.choose_model
        self.instruct_session = sessions.instruct_session
        self.add_messages = sessions.add_messages
        self.fork_session = sessions.fork_session
        self.rewind_session = sessions.rewind_session
        self.import_session = sessions.import_session
        self.delete_session = sessions.delete_session
        self.delete_unused = sessions.delete_unused
        self.write_over = sessions.write_over

    def _offer_people(self, people: SqlPeople) -> None:
        self.people = people.people
        self.person = people.person
        self.sessions_of_person = people.sessions_of_person
        self.keys_of_person = people.keys_of_person
        self.uploads_of_person = people.uploads_of_person
        self.facts_of_person = people.facts_of_person
        self.linked_names = people.linked_names
        self.links_version = people.links_version
        self.other_sessions = people.other_sessions
        self.check_private = people.check_private
        self.link_people = people.link_people
        self.unlink_name = people.unlink_name
        self.keep_link_code = people.keep_link_code
        self.link_by_code = people.link_by_code
        self.erase_person = people.erase_person
        self.finish_erasures = people.finish_erasures

    def _offer_compactions(self, compactions: SqlCompactions) -> None:
        self.unsummarised = compactions.unsummarised
        self.add_summary = compactions.add_summary
        self.step_summary = compactions.step_summary
        self.add_step_summary = compactions.add_step_summary
        self.add_spent = compactions.add_spent

    def _offer_extractions(self, extractions: SqlExtractions) -> None:
        self.unread_turns = extractions.unread_turns
        self.add_extracted = extractions.add_extracted
        self.sessions_with_unread = extractions.sessions_with_unread

    def _offer_embeddings(self, embeddings: SqlEmbeddings) -> None:
        self.begin_embedding = embeddings.begin_embedding
        self.unembedded = embeddings.unembedded
        self.add_vectors = embeddings.add_vectors

    def _offer_message_search(self, messages: SqlMessageSearch) -> None:
        self.search_messages = messages.search_messages

    def _offer_memory(self, memory: SqlMemory) -> None:
        self.remember = memory.remember
        self.facts = memory.facts
        self.search_facts = memory.search_facts
        self.fact_versions = memory.fact_versions
        self.all_facts = memory.all_facts
        self.change_fact = memory.change_fact
        self.forget = memory.forget
        self.erase_facts = memory.erase_facts

    def _offer_responses(self, responses: SqlResponses) -> None:
        self.response = responses.response
        self.forget_response = responses.forget_response
        self.conversation_of = responses.conversation_of

    def _offer_uploads(self, uploads: SqlUploads) -> None:
        self.add_upload = uploads.add_upload
        self.upload = uploads.upload
        self.open_upload = uploads.open_upload
        self.upload_piece = uploads.upload_piece
        self.uploads = uploads.uploads
        self.delete_upload = uploads.delete_upload
        self.delete_expired_uploads = uploads.delete_expired_uploads

    def _offer_approvals(self, approvals: SqlApprovals) -> None:
        self.approval = approvals.approval
        self.approvals = approvals.approvals
        self.decide_approval = approvals.decide_approval
        self.standing_of = approvals.standing_of
        self.approval_rules = approvals.approval_rules
        self.revoke_approval_rule = approvals.revoke_approval_rule
        self.delete_old_approvals = approvals.delete_old_approvals

    def _offer_accounts(self, accounts: SqlAccounts) -> None:
        self.api_keys = accounts.api_keys
        self.keys_version = accounts.keys_version
        self.usage = accounts.usage
        self.session_usage = accounts.session_usage
        self.spending = accounts.spending
        self.live_turns = accounts.live_turns
        self.listen = accounts.listen

    async def check(self) -> None:
        await self.database.check()
        await asyncio.to_thread(self._check_contents)

    def _check_contents(self) -> None:
        self._blobs.check()
        self._workspaces.check()

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self.database.close()
