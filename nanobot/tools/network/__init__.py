"""What a command of the agent has for a network: a proxy, to the hosts that the operator names.

Knows: which hosts and addresses may be reached, how much of it, and what is noted of it. Does not know: how a
command is confined, or how its connections come here (`nanobot.tools.sandbox`). Start at `networks.py`.
"""
