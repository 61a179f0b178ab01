"""What the agent can do besides talking, one family a file; a tool is a `core.tool.Tool` value.

Knows: its own trade. Does not know: the model that calls it, the turn beyond its `ToolContext`, where
  anything is kept. Start at `facts.py`.
"""
