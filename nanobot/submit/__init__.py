"""The one way for every entry point to ask the agent for something.

Knows: requests for turns, what their messages refer to, who follows a turn.
Does not know: HTTP, wire formats, the engine that runs the turn.
Start at `submitter.py`.
"""
