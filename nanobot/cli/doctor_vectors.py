"""The check of `nanobot doctor` on the search by meaning, where it is switched on: a text gets a vector."""

from nanobot.app.vectors import make_vectors
from nanobot.cli.check_result import CheckResult
from nanobot.cli.options import placed
from nanobot.config import Config
from nanobot.core.clock import SystemClock
from nanobot.core.errors import ConfigError, VectorsUnavailable

_CHECK = "vectors"


async def examine(config: Config) -> tuple[CheckResult, ...]:
    """Check that texts can be compared by meaning, where the settings want that."""
    if not config.memory.vectors:
        return ()
    try:
        vectors = make_vectors(config, SystemClock())
    except ConfigError as error:
        return (CheckResult(_CHECK, "fail", placed(error)),)
    try:
        body = await vectors.embed(("a text",))
    except VectorsUnavailable as error:
        return (CheckResult(_CHECK, "fail", error.message),)
    finally:
        await vectors.close()
    return (
        CheckResult(
            _CHECK, "ok", f"texts are compared by meaning ({vectors.version}, {len(body)} bytes a text)"
        ),
    )
