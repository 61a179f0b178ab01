"""The isolation audit: seed secrets into many sessions, then ask for each of them from every other session.

It knows the app as a client does: over HTTP, with API keys, and with a model that records the prompts it is
sent. It knows nothing of how sessions are kept apart. Start at `run.py`; what is attempted on each route
stands in `attempts.py`. `layers.py` is a second audit, of people and groups.
"""
