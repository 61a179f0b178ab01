"""nanobot: a self-hosted AI agent behind an OpenAI-compatible API.

Doors bring turns, the engine runs them with the agent, which sees a context, asks models, uses tools; stores
keep everything; core is the words.
"""

__version__ = "0.1.0"
