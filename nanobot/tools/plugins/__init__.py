"""Plugins: folders in the Agent Plugins format 1.0, with skills and descriptions of MCP servers.

Knows: what such a folder has in it, and how it is installed and removed. Does not know: how a server is run.
Start at `installed.py`.
"""
