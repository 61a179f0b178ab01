"""The API keys that are valid now, in memory: requests look here, and the store is read once a second beside
them.
"""

import hmac
from collections.abc import Iterable, Iterator

import msgspec

from nanobot.access.caller import EVERYBODY, Caller
from nanobot.core.accounts import RIGHTS, Accounts, ApiKey, digest_of

REFRESH_S = 1.0
"""How often a server looks for keys that were created or revoked meanwhile."""


class KnownKey(msgspec.Struct, frozen=True):
    """A key, and who sends requests with it."""

    key: ApiKey
    caller: Caller

    def is_valid(self, now: float) -> bool:
        key = self.key
        return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


class KeyRing:
    """Knows a key by its hash.

    `configured` are the keys of the settings, which stay; those of the store come and go. A key of this
    process, which commands on its data directory have, is none that makes a server ask for keys.
    """

    def __init__(self, configured: Iterable[ApiKey] = ()) -> None:
        self._configured = tuple(configured)
        self._version = ""
        self._by_digest: dict[bytes, KnownKey] = {}
        self._of_process: dict[bytes, KnownKey] = {}
        self._take(())

    @property
    def has_any(self) -> bool:
        """Whether there is a key at all. One that was revoked counts: a server that asked for keys goes on
        asking.
        """
        return bool(self._by_digest)

    def find(self, token: bytes) -> KnownKey | None:
        """Return the key, valid or not; None where it is unknown.

        The key is looked up by its hash: what the timing reveals is of the hash, which nobody can choose.
        """
        digest = digest_of(token)
        known = self._by_digest.get(digest) or self._of_process.get(digest)
        return known if known is not None and hmac.compare_digest(known.key.digest, digest) else None

    def caller(self, key_id: str | None) -> Caller:
        """Return who sends requests with the key of this id; None, and an id that is unknown, stand for
        requests without a key.
        """
        known = (*self._by_digest.values(), *self._of_process.values())
        return next((each.caller for each in known if each.key.id == key_id), Caller(key_id))

    def callers(self, now: float) -> Iterator[Caller]:
        """Yield who may send requests now: those with a valid key; where there is no key, everybody."""
        if not self.has_any:
            yield EVERYBODY
        for known in (*self._by_digest.values(), *self._of_process.values()):
            if known.is_valid(now):
                yield known.caller

    def add_of_process(self, key: ApiKey) -> None:
        """Let in who has `key`, as long as this process runs."""
        self._of_process[key.digest] = KnownKey(key, msgspec.structs.replace(_caller(key), is_operator=True))

    def is_of_process(self, token: bytes) -> bool:
        """Return whether it is a key of this process."""
        known = self.find(token)
        return known is not None and known.caller.is_operator

    async def refresh(self, ledger: Accounts) -> None:
        """Take over what has changed in the store.

        Raises:
            StoreError
        """
        # Read before the keys: one that is created in between is then read again, rather than missed.
        version = await ledger.keys_version()
        if version != self._version:
            self._take(await ledger.api_keys())
            self._version = version

    def _take(self, stored: tuple[ApiKey, ...]) -> None:
        self._by_digest = {key.digest: KnownKey(key, _caller(key)) for key in (*stored, *self._configured)}


def _caller(key: ApiKey) -> Caller:
    rights = RIGHTS if "admin" in key.rights else key.rights
    return Caller(key.id, frozenset(rights), key.patterns, key.session_key, key.history, key.quota)
