"""What other programs export of conversations and memories: ChatGPT, HKUDS' nanobot, mem0.

Knows: their files, and what in them is worth taking. Does not know: where it goes.
Start at `files.py`.
"""
