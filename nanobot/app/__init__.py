"""The composition root: builds a running server from its settings, and takes it down again.

Knows: every other package, and the order in which their parts start and stop. Does not know: how any of them
  works. Start at `opening.py`, which opens what the parts share (`resources.py`), and `app.py`, which lists
  them. `models.py` makes the models, `endpoints.py` finds where they are asked, `settings.py` turns the
  settings into those of each package, `periodic.py` runs the `jobs.py` that are done again and again.
"""

from nanobot.app.app import App
from nanobot.app.chains import fallback_names
from nanobot.app.endpoints import known_providers
from nanobot.app.models import (
    DefaultModel,
    Models,
    better_weights,
    check_models,
    choose_model,
    make_model,
    make_models,
    missing_openmp,
    missing_weights,
    passed_over,
    reads_examples_first,
    weights_directory,
)
from nanobot.app.opening import open_app
from nanobot.app.personas import SettingsSource
from nanobot.app.settings import audit_keeping, configured_keys, is_loopback, scope_rules
from nanobot.app.tools import own_tools

__all__ = [
    "App",
    "DefaultModel",
    "Models",
    "SettingsSource",
    "audit_keeping",
    "better_weights",
    "check_models",
    "choose_model",
    "configured_keys",
    "fallback_names",
    "is_loopback",
    "known_providers",
    "make_model",
    "make_models",
    "missing_openmp",
    "missing_weights",
    "open_app",
    "own_tools",
    "passed_over",
    "reads_examples_first",
    "scope_rules",
    "weights_directory",
]
