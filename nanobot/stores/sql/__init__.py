"""The policy of the store, written once for every SQL database: what is admitted, started, ended, read,
deleted.

Knows: tables, statements, the order of things in a transaction. Does not know: threads, connections, files,
  followers. Every function is a job on a database, inside a transaction that its caller opened. Start at
  `admission.py`, then `turns.py` and `transcript.py`.
"""
