"""OpenAI's chat completions, spoken to whatever server takes them.

Knows: the wire format, its requests and streamed answers, and what servers make of it.
Does not know: turns, sessions, tools other than by their schema.
Start at `chat.py`.
"""
