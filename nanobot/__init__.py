"""nanobot: a self-hosted AI agent behind an OpenAI-compatible API.

Entry points submit turns. The engine runs them with the agent, which builds a context, asks a model and runs
tools. The store keeps everything. `core` defines the terms.
"""

__version__ = "0.1.0"
