"""Commands of the agent, run where they reach nothing but their workspace.

Knows: how a command is confined, what it may use, and how all that it started ends. Does not know: sessions,
tools, or why a command is run. Start at `command.py` (what is asked for) and `linux.py` (how it is done).
`launcher.py` and what it imports (`confine.py`, `bubblewrap.py`, `watchdog.py`, `filter.py`, `landlock.py`,
`attempts.py`) run as a program of their own, with the standard library only.
"""
