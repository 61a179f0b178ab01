"""HTTP machinery: connections, the guard in front of all routes, bodies, forms, queries, streams, the OpenAPI
document.

Knows: ASGI, headers, API keys as they arrive, how an operation is described and answered.
Does not know: OpenAI's field names, what any route does, the engine.
Start at `guard.py`, which makes a `Request` of what comes in, and `operations.py`, which says where it leads.
"""
