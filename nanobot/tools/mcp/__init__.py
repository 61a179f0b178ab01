"""Tools of MCP servers (Model Context Protocol), by the official SDK in a process of its own.

Knows: how servers are connected to, what their tools are called, and what becomes of their results. Does not
know: who may use which tool; the policy does. Start at `servers.py`; `process.py` is the server's side of the
process, `child.py` the other one, `messages.py` what they say to each other. Only the modules of the process
(`child.py`, `connection.py`, `orders.py`, `stdio.py`, `http_client.py`, `reading.py`) import the SDK.
"""
