"""The tenants of an audit, and the names of things that never existed."""

import random

import pytest

from nanobot.core.scopes import DEFAULT_RULES
from nanobot.isolation.canaries import Canaries
from nanobot.isolation.tenants import Resources, fictitious, make_tenants

_rng = random.Random(7)
KEYS = [tenant.key for tenant in make_tenants(60, Canaries(_rng), _rng)]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_never_existed_is_of_the_same_kind_as_the_real_one(key: str) -> None:
    """Otherwise errors name a person in one answer and a session in the other, which looks like a leak."""
    real, unreal = Resources(key), fictitious(Resources(key), _rng)
    assert unreal.session_key != real.session_key
    assert unreal.person != real.person
    is_own_person = unreal.person == unreal.session_key
    assert not is_own_person or real.person == real.session_key
    real_group, group = (DEFAULT_RULES.of(each.session_key).group for each in (real, unreal))
    assert (group is None) == (real_group is None)
