"""One turn: ask the model, run the tool calls, repeat.

Knows: steps, tool calls, how to go on after an empty, cut or malformed answer.
Does not know: where facts are kept (`emit`), who follows (`show`), which provider answers.
Start at `loop.py`; `toolset.py` runs one call.
"""
