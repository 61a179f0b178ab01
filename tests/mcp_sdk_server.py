"""An MCP server by the SDK that asks in the middle of a call, as servers were written before 2026-07-28."""

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("sdk")


class City(BaseModel):
    city: str


@server.tool()
async def ask_city(context: Context) -> str:
    """It asks for a city."""
    return str(await context.elicit("Which city?", City))


if __name__ == "__main__":
    server.run("stdio")
