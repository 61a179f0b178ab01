"""The small model on this machine, run in a child process.

Knows: the engine and its process, and the prompts and grammars with which a small model can use tools.
Does not know: where weights come from (`models/weights`), turns, sessions.
Start at `model.py`.
"""
