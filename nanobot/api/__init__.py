"""The HTTP door: OpenAI's words on the outside, turns on the inside.

Knows: routes, headers, status codes, server-sent events, who may come in.
Does not know: the engine (it meets it at the store), what a model or a tool is.
Start at `server.py`; `wire/` is the only place that knows OpenAI's field names.
"""
