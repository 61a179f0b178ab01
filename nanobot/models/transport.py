"""What goes with each request to a provider, whatever its wire format: headers, keys, the way out."""

from collections.abc import Mapping

import msgspec

from nanobot.models.keys import KeySource


class Transport(msgspec.Struct, frozen=True):
    """How requests reach a provider.

    `headers` go with each request. `keys`: where there are several, or one that expires; else the API key
    goes with each request. `proxy`: the URL of an HTTP proxy. `ca_file`: certificates, or a directory of
    them, to trust besides the system's. `lists_all`: the provider's list of models names every model that
    it has. `salt_field`: the field of a request that keeps the server's prefix cache apart by what stands
    in it; empty where it has none.
    """

    headers: Mapping[str, str] = {}
    keys: KeySource | None = None
    proxy: str | None = None
    ca_file: str | None = None
    lists_all: bool = False
    salt_field: str = ""


DIRECT = Transport()


def put_headers(headers: dict[str, str], further: Mapping[str, str]) -> None:
    """Add headers, in the place of those that have their names in other letters."""
    for name, value in further.items():
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        headers[name] = value
