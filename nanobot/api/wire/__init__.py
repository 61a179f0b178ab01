"""OpenAI's shapes on the wire, and those of our own routes.

Knows: how requests, answers, chunks and lists look on the wire; the only package that knows OpenAI's field
  names. Does not know: the store, connections, who calls. Start at `chat_request.py` and `chat_answer.py`.
"""
