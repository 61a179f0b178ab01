"""From turn to events: takes orders from the store, runs each turn with the agent, writes its end.

Knows: which turns run now, how one is cancelled, how the server stops.
Does not know: who asked (doors meet it at the store), what the agent does inside a turn.
Start at `run.py`; `local.py` is the engine of one process.
"""
