"""Certificates that are trusted besides the system's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanobot.core.errors import ConfigError

if TYPE_CHECKING:
    import ssl


def trusted(ca_file: str | None) -> ssl.SSLContext | None:
    """Return the context that trusts `ca_file`, a file of certificates or a directory of them, besides the
    system's; None for none. Reads files.

    Raises:
        ConfigError: there are no certificates in it.
    """
    if ca_file is None:
        return None
    # 20 ms to import; not every server has a certificate of its own.
    import ssl

    try:
        context = ssl.create_default_context()
        if Path(ca_file).is_dir():
            context.load_verify_locations(capath=ca_file)
        else:
            context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        # Errors of TLS are errors of the system, too, but have no number of it.
        reason = "it has no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"certificates to trust: {ca_file} cannot be read ({reason})") from None
    except ValueError:
        raise ConfigError(f"certificates to trust: {ca_file!r} is no path of a file") from None
    return context
