"""The events of turns that have not ended, kept in memory for those who follow them or watch a session.

Knows: followers, cursors, slow readers. Does not know: any database. Start at `live.py`.
"""
