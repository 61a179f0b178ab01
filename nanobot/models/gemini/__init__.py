"""Google's Gemini API, `generateContent`, on any server that speaks it.

Knows: the wire format of requests and streamed answers, its rules for a conversation, what its models refuse.
Does not know: HTTP, retries, what an error means (`models/`); turns, sessions.
Start at `generate.py`.
"""
