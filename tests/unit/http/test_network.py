"""For whom a request without an API key is counted."""

import pytest

from nanobot.http.network import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        ("no:address", "no:address"),
    ],
)
def test_a_client_cannot_choose_for_whom_it_is_counted(address: str, network: str) -> None:
    assert network_of(address) == network
