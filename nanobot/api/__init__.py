"""The HTTP API: OpenAI's words on the outside, turns on the inside.

Knows: routes, their bodies, parameters and answers.
Does not know: the engine (they meet at the store), what a model or a tool is.
Start at `server.py`; `wire/` is the only place that knows OpenAI's field names.
"""
