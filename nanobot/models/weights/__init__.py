"""Weights of local models: which there are, where they are fetched from, what is on this machine.

Knows: pinned files and their checksums, package indexes, a model hub, a directory of weights.
Does not know: the engine that runs them.
Start at `installed.py`; `fetch.py` is how they get there.
"""
