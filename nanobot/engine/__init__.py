"""From turn to events: takes claims from the store, runs each turn with the agent, writes its end.

Knows: which turns run now, how one is cancelled, how the server stops.
Does not know: who asked (entry points meet it at the store), what the agent does inside a turn.
Start at `run.py`; `state.py` says when a turn may be broken off, `local.py` is the engine of one process.
"""
