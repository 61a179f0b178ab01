"""One turn: ask the model, run the tool calls, repeat.

Knows: steps, tool calls, how to go on after an empty, cut or malformed answer.
Does not know: where facts are kept (`emit`), who follows (`show`), which provider answers.
Start at `loop.py`, then `steps.py`: `model_call.py` asks for one message with what `turn_requests.py` makes,
`tool_calls.py` runs the calls of a step, `toolset.py` one call; `transcript.py` is what the turn has so far,
`limits.py` has the bounds.
"""
