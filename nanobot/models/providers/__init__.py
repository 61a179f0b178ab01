"""The providers, as data, and the names of models.

Knows: of each provider its address, wire format, keys, variables and default model. Does not know: how a wire
format is spoken. Start at `row.py`; `shipped.py` has the rows, `prices.py` what models cost, `names.py` reads
names of models, `environment.py` finds addresses and keys.
"""

from nanobot.models.providers.environment import (
    DetectedProvider,
    find_in_environment,
)
from nanobot.models.providers.names import ECHO, LOCAL, SHIPPED, ModelName, parse_name, provider_of
from nanobot.models.providers.prices import PRICES, PRICES_OF
from nanobot.models.providers.row import Blank, Provider, Wire
from nanobot.models.providers.shipped import PROVIDERS

__all__ = [
    "ECHO",
    "LOCAL",
    "PRICES",
    "PRICES_OF",
    "PROVIDERS",
    "SHIPPED",
    "Blank",
    "DetectedProvider",
    "ModelName",
    "Provider",
    "Wire",
    "find_in_environment",
    "parse_name",
    "provider_of",
]
