"""Content from outside: pages fetched from public addresses, and the text of files.

Knows: which URLs may be fetched, file formats, and the limits of both.
Does not know: sessions, turns, models, callers.
Start at `fetch.py` for the web, `documents.py` for files; formats are read in a child process, `child.py`.
"""
