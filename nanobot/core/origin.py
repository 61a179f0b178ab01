"""Where what the agent knows comes from."""

from typing import Literal

Origin = Literal["conversation", "web", "file", "tool", "user", "operator", "import"]
"""`conversation`: noted by the model from what was said; `web`, `file`, `tool`: noted in a turn that had read
a page, a file, or the result of another tool, and so nobody's word; `user`, `operator`: written by hand, over
the API or on the server; `import`: taken from elsewhere.
"""

ReadOrigin = Literal["web", "file", "tool"]
READ_ORIGINS: tuple[ReadOrigin, ...] = ("web", "file", "tool")
"""What a turn may have read that nobody in it said, the least trusted first."""
