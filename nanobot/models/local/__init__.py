"""The small model on this machine, run in a child process.

Knows: the engine and its process, prompts and grammars that make a small model useful.
Does not know: where weights come from (`models/weights`), turns, sessions.
Start at `model.py`.
"""
