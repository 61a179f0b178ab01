"""HTTP to a provider, independent of the wire format."""

from nanobot.models.address import Address, KeyHeader
from nanobot.models.http import ProviderConnection, Timeouts
from nanobot.models.refusals import ErrorSource
from tests.upstream import Upstream


async def test_a_key_goes_in_the_header_that_the_provider_reads() -> None:
    async with Upstream() as upstream:
        address = Address(upstream.url)
        connection = ProviderConnection(
            ErrorSource("test:m", "m", address.shown, "sk-secret"),
            auth=KeyHeader("x-api-key"),
            headers={"api-version": "2025-11"},
            timeouts=Timeouts(),
        )
        response = await connection.get(address.url("/models"))
        response.close()
        await connection.close()
        (asked,) = upstream.requests
    assert (asked.headers["x-api-key"], asked.headers["api-version"]) == ("sk-secret", "2025-11")
    assert "authorization" not in asked.headers


def test_the_query_of_an_address_stays_behind_each_path() -> None:
    address = Address(" https://api.example.com/v1/?version=1#top ")
    assert address.url("/models") == "https://api.example.com/v1/models?version=1"
    assert (address.host, address.shown) == ("api.example.com", "https://api.example.com/v1")
