"""Commands of the agent, run where they reach nothing but their workspace.

`launcher.py` is the process that confines one command, watches it, and ends its whole tree. Start there.
"""
