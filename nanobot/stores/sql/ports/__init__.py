"""The ports of `core`, each over jobs on an SQL database, the turns that are live, and the contents of
uploads.

Knows: which job answers which method, and whom to tell once it is committed. Does not know: statements, which
  are the jobs' (`stores/sql`), threads and files. Start at `store.py`, their sum.
"""
