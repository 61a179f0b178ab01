"""The command line: one command a file, loaded when it is called.

Knows: options, what to print, exit statuses.
Does not know: how anything works; it asks `app`.
Start at `main.py`.
"""
