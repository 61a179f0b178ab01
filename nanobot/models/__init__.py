"""Who answers: implementations of `core.model.Model`, one wire format a file.

Knows: how each provider wants to be asked, how it fails, what it costs to start.
Does not know: turns, sessions, tools beyond what a model is told of them.
Start at `openai_chat.py`; `catalog.py` has the providers as data, `local.py` the small model on this machine.
"""
