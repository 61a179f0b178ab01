"""What the agent can do besides talking, one family of tools a file; each tool is a `core.tool.Tool`.

Knows: what the tool is for. Does not know: the model that calls it, the turn beyond its `ToolContext`, where
  anything is kept. Start at `facts.py`.
"""
