"""The API keys that are valid now, in memory: the guard asks here, the store is looked at once a second
beside the requests.
"""

import hmac
from collections.abc import Iterable

import msgspec

from nanobot.access.caller import Caller
from nanobot.core.accounts import RIGHTS, Accounts, ApiKey, digest_of

REFRESH_S = 1.0
"""How often a server looks for keys that were made or revoked meanwhile."""


class KnownKey(msgspec.Struct, frozen=True):
    """A key, and who comes in with it."""

    key: ApiKey
    caller: Caller

    def is_valid(self, now: float) -> bool:
        key = self.key
        return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


class KeyRing:
    """Knows a key by its hash.

    `configured` are the keys of the settings, which stay; those of the store come and go.
    """

    def __init__(self, configured: Iterable[ApiKey] = ()) -> None:
        self._configured = tuple(configured)
        self._version = ""
        self._by_digest: dict[bytes, KnownKey] = {}
        self._take(())

    @property
    def has_any(self) -> bool:
        """Whether there is a key at all; one that was revoked counts: the door that asked for keys does not
        open by itself.
        """
        return bool(self._by_digest)

    def find(self, token: bytes) -> KnownKey | None:
        """Return the key, valid or not; None where it is unknown.

        The table is asked for the key's hash, so what its timing tells is of the hash only, which no one can
        steer.
        """
        digest = digest_of(token)
        held = self._by_digest.get(digest)
        return held if held is not None and hmac.compare_digest(held.key.digest, digest) else None

    async def refresh(self, ledger: Accounts) -> None:
        """Take over what has changed in the store.

        Raises:
            StoreError
        """
        version = await ledger.keys_version()
        if version != self._version:
            self._take(await ledger.api_keys())
            self._version = version

    def _take(self, stored: tuple[ApiKey, ...]) -> None:
        self._by_digest = {key.digest: KnownKey(key, _caller(key)) for key in (*stored, *self._configured)}


def _caller(key: ApiKey) -> Caller:
    rights = RIGHTS if "admin" in key.rights else key.rights
    return Caller(key.id, frozenset(rights), key.patterns, key.session_key, key.quota)
