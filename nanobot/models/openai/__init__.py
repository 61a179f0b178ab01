"""OpenAI's chat completions, on any server that speaks them.

Knows: the wire format of requests and streamed answers, and how servers deviate from it.
Does not know: HTTP, retries, what a refusal means (`models/`); turns, sessions.
Start at `chat.py`.
"""
