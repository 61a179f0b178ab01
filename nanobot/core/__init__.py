"""The terms: frozen values, and the protocols by which packages meet.

Knows: what a message, turn, session, event, tool and model are, and every error.
Does not know: any file, socket, database, provider or field name of an API.
Start at `turn.py` (what is asked), then `event.py` (what comes back), then `store.py` (where both meet).
"""
