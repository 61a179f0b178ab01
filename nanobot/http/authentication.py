"""API keys as they arrive: which key a request carries, and whether its address may still try others."""

import msgspec

from nanobot.access.caller import EVERYBODY, Caller
from nanobot.access.keyring import KeyRing
from nanobot.access.rate import RateLimiter, neighbourhood
from nanobot.core.errors import BadApiKey, TooManyBadKeys

# Bounds the memory that an attacker with many addresses can fill.
MOST_ADDRESSES = 4_096


class Authentication:
    """Finds out who sends a request.

    `always_required`: a key is needed even where none exists. `max_bad_keys`: how many wrong keys a minute
    one address may send; 0: any number.
    """

    def __init__(self, keys: KeyRing, *, always_required: bool, max_bad_keys: int) -> None:
        self._keys = keys
        self._always_required = always_required
        self._max_bad_keys = max_bad_keys
        self._bad_keys = RateLimiter(MOST_ADDRESSES)

    @property
    def is_required(self) -> bool:
        """Whether requests need a key now."""
        return self._always_required or self._keys.has_any

    def caller(self, authorization: bytes, address: str | None, now: float) -> Caller:
        """Return whose key the header `Authorization` carries; everybody where no key is needed.

        Raises:
            BadApiKey: there is no key, or it is not valid.
            TooManyBadKeys: the address has sent too many keys that are not valid.
        """
        scheme, _, token = authorization.partition(b" ")
        has_key = scheme.lower() == b"bearer" and bool(token)
        if not self.is_required:
            is_operator = has_key and self._keys.is_of_process(token.strip())
            return msgspec.structs.replace(EVERYBODY, is_operator=True) if is_operator else EVERYBODY
        if not has_key:
            raise BadApiKey("no API key given: send it as `Authorization: Bearer KEY`")
        known = self._keys.find(token.strip())
        is_valid = known is not None and known.is_valid(now)
        # 256 random bits cannot be guessed: whoever has such a key is not kept out by what a neighbour sends.
        if known is not None and is_valid and known.key.is_strong:
            return known.caller
        # A key that somebody chose might be guessed: once the address has tried too many, it is not even
        # looked at.
        most = self._max_bad_keys
        network = neighbourhood(address) if address else ""
        if most and (wait_s := self._bad_keys.wait_s(network, most, now)) > 0:
            raise TooManyBadKeys(
                "too many wrong API keys came from this address: wait a minute", retry_after_s=wait_s
            )
        if known is not None and is_valid:
            return known.caller
        if most:
            self._bad_keys.take(network, most, now)
        raise BadApiKey("the API key is not valid here")
