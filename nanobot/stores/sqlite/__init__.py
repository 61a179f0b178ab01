"""The embedded store on SQLite: connections, the thread that writes, the one that reads, migrations, upkeep.

Knows: SQLite's files, locks, pragmas and errors. Does not know: what may be admitted or how a turn ends,
  which is `stores/sql`. Start at `store.py`.
"""
