"""Where everything is kept: implementations of `core.store.Store`.

Knows: SQL, transactions, locks, threads for the database. Does not know: who asks, what a model is, how an
  answer looks on the wire. Start at `sqlite.py`; `writer.py` is the one thread that writes, `transcript.py`,
  `admission.py` and `turns.py` are what it runs.
"""
