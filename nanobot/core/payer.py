"""For whom what runs now is counted, so that one of many does not hold up the others."""

from contextvars import ContextVar

PAYER: ContextVar[str] = ContextVar("payer", default="")
"""The API key, or where there is none the network of the client; empty: nobody's, the server's own work."""
