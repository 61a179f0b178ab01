"""Attempts to get out of the sandbox of commands, against each of its layers: `python -m tests.escape`."""
