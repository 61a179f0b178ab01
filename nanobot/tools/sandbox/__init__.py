"""Commands of the agent, run where they reach nothing but their workspace.

Knows: how a command is confined, what it may use, and how all that it started ends. Does not know: sessions,
tools, or why a command is run. Start at `command.py` (what is asked for) and `launched.py` (how it is done).
Programs of their own, with the standard library only, are `launcher.py` and what it imports (`confine.py`,
`bubblewrap.py`, `proc_tree.py`, `filter.py`, `landlock.py`, `attempts.py`) for Linux, `seatbelt_launcher.py`
(`seatbelt.py`, `ps_tree.py`, `seatbelt_attempts.py`) for macOS; both use `launching.py` and `watchdog.py`.
"""
