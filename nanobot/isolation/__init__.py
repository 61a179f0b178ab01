"""Isolation, put to the test: secrets are planted in many sessions, and whoever is not their owner asks for
them.

It knows the app as a client does: over HTTP, with API keys, and with a model in a provider's place that notes
what it is shown. It knows nothing of how the house keeps sessions apart. Start at `audit.py`.
"""
