"""The keys of a provider where there is more than one to choose from: several, or one that expires."""

import asyncio
import shlex
from collections.abc import Sequence
from typing import Protocol

from nanobot.core.clock import Clock
from nanobot.core.errors import ConfigError, ModelError, ModelRateLimited, ModelRefusedKey

_REFUSED_S = 600.0
_RATE_LIMITED_S = 30.0
_FRESH_S = 10.0
_VALID_S = 1_800.0
_COMMAND_S = 30.0
_MAX_KEY_CHARS = 16_384


class KeySource(Protocol):
    """Gives the key for each request.

    Attributes:
        secrets: the keys that answers must not repeat; the list may change.
    """

    secrets: Sequence[str]

    async def key(self) -> str:
        """Return the key for the next request.

        Raises:
            ModelRefusedKey: there is none.
        """
        ...

    def moves_on(self, key: str, error: ModelError) -> bool:
        """Take note that a request with `key` failed; return whether another key may succeed at once."""
        ...


class KeyRotation:
    """Several keys of one provider. Requests go with the first that does not rest; one that is refused rests
    for ten minutes, one whose rate limit is reached for as long as the provider says.

    The same key is used as long as it works: providers keep their prompt caches by account.
    """

    def __init__(self, keys: tuple[str, ...], clock: Clock) -> None:
        self.secrets: Sequence[str] = keys
        self._clock = clock
        self._rests_until = dict.fromkeys(keys, 0.0)

    async def key(self) -> str:
        """Return the first key that does not rest; where all do, the one that rests least long."""
        now = self._clock.now()
        return next(
            (key for key, until in self._rests_until.items() if until <= now),
            min(self._rests_until, key=self._rests_until.__getitem__),
        )

    def moves_on(self, key: str, error: ModelError) -> bool:
        """Let `key` rest where it is at fault; return whether one of the others does not."""
        if isinstance(error, ModelRefusedKey):
            pause_s = _REFUSED_S
        elif isinstance(error, ModelRateLimited):
            pause_s = error.retry_after_s or _RATE_LIMITED_S
        else:
            return False
        now = self._clock.now()
        self._rests_until[key] = now + pause_s
        return any(until <= now for until in self._rests_until.values())


class KeyCommand:
    """A key that a command prints, such as `gcloud auth print-access-token`.

    It is run when a key is needed, in a process of its own; the key is used for half an hour, or until the
    provider refuses it.
    """

    def __init__(self, command: str, clock: Clock) -> None:
        """Read `command`, which is run without a shell.

        Raises:
            ConfigError: it is empty, or a quotation mark has no partner.
        """
        try:
            self._arguments = shlex.split(command)
        except ValueError:
            raise ConfigError("key_command: a quotation mark has no partner") from None
        if not self._arguments:
            raise ConfigError("key_command is empty: it is the command that prints a key")
        self.secrets: Sequence[str] = ()
        self._clock = clock
        self._key: str | None = None
        self._fetched_at = 0.0
        self._lock = asyncio.Lock()

    async def key(self) -> str:
        """Return the key, after running the command where there is none or it is old.

        Raises:
            ModelRefusedKey: the command fails, prints nothing, or takes more than 30 s.
        """
        if (key := self._valid()) is not None:
            return key
        async with self._lock:
            if (key := self._valid()) is None:
                key = await self._run()
                self.secrets = (*self.secrets[-1:], key)
                self._key, self._fetched_at = key, self._clock.now()
            return key

    def moves_on(self, key: str, error: ModelError) -> bool:
        """Forget `key` where it was refused; return whether the command may print a better one."""
        if not isinstance(error, ModelRefusedKey):
            return False
        if key != self._key:
            return True
        if self._clock.now() - self._fetched_at < _FRESH_S:
            return False
        self._key = None
        return True

    def _valid(self) -> str | None:
        return self._key if self._clock.now() - self._fetched_at < _VALID_S else None

    async def _run(self) -> str:
        program = self._arguments[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise self._failed(f"{program} cannot be run ({error.strerror})") from None
        except ValueError:
            raise self._failed(
                f"{program!r} is no program with arguments: a null character is in it"
            ) from None
        try:
            async with asyncio.timeout(_COMMAND_S):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise self._failed(f"{program} took more than {_COMMAND_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise self._failed(f"{program} ended with status {process.returncode}")
        key = printed.decode("utf-8", "replace").strip()
        if not key or not key.isprintable() or not key.isascii() or len(key) > _MAX_KEY_CHARS:
            raise self._failed(f"what {program} printed is no key: one line is expected")
        return key

    def _failed(self, reason: str) -> ModelRefusedKey:
        return ModelRefusedKey(f"key_command: {reason}; run it by hand to see why")
