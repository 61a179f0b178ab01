"""What stands outside, brought in: pages fetched from public addresses, and what files say as text.

Knows: the web as it may be asked, file formats, the bounds of both.
Does not know: sessions, turns, models, who asks.
Start at `fetch.py` for the web, `documents.py` for files; formats are read in a child process, `child.py`.
"""
