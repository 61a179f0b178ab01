"""Commands as tools of the agent: run one, read what it writes, write to it, stop it.

Knows: which commands a session has, how much of their output a model is shown, and when they have to end.
Does not know: how a command is confined (`nanobot.tools.sandbox`). Start at `tools.py`.
"""
