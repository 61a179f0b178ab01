"""Weights of local models: which exist, where they are fetched from, which are on this machine.

Knows: pinned files and their checksums, package indexes, a model hub, a directory of weights.
Does not know: the engine that runs them.
Start at `installed.py`; `fetch.py` brings what is missing.
"""
