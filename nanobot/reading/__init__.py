"""Content from outside: pages fetched from public addresses, the text of files, exports of other programs.

Knows: which URLs may be fetched, file formats, and the limits of both.
Does not know: sessions, turns, models, callers.
Start at `fetch.py` for the web, `documents.py` for files (formats are read in a child process, by
`workers/child.py`), `exports/files.py` for exports.
"""
