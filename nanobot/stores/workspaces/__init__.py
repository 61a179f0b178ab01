"""Workspaces on disk: a directory for each session that has written a file.

Knows: how a path that anybody wrote is reached without following a link, how several files change at once,
  how much there may be. Does not know: who asks, or what the files are for. Start at `local.py`.
"""
