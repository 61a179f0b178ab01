"""Where everything is kept: implementations of `core.store.Store`.

Knows: SQL, transactions, locks, threads for the database. Does not know: who asks, what a model is, how an
  answer looks on the wire. Start at `sqlite/store.py`; `sql/` is what its writer and its reader run, `live/`
  what followers see of turns that have not ended.
"""
