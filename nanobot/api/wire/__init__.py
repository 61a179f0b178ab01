"""OpenAI's words, and nobody else's business.

Knows: how requests, answers, chunks and lists look on the wire; the only place that knows their field names.
Does not know: the store, connections, who calls.
Start at `chat_request.py` and `chat_answer.py`.
"""
