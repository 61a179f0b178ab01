"""Stands in for the engine's library, in the child process that would load it: what comes on the socket goes
to a server of the test's, whose port the file of weights holds.
"""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class CommonParams(SimpleNamespace):
    """Takes whatever the engine is set to."""

    def __init__(self) -> None:
        super().__init__(
            model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
        )


class Server:
    """Listens on the socket that `params` name, from when it is constructed."""

    listening_address = "http://localhost"

    def __init__(self, params: Any) -> None:
        self._port = int(Path(params.model.path).read_bytes().removeprefix(b"GGUF"))
        self._socket_path: str = params.hostnames[0]
        listens = threading.Event()
        threading.Thread(target=asyncio.run, args=(self._serve(listens),), daemon=True).start()
        listens.wait()

    async def _serve(self, listens: threading.Event) -> None:
        async with await asyncio.start_unix_server(self._forward, self._socket_path) as server:
            listens.set()
            await server.serve_forever()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect the two until either of them closes; then so does the other."""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        copies = {
            asyncio.ensure_future(_copy(reader, up_writer)),
            asyncio.ensure_future(_copy(up_reader, writer)),
        }
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        up_writer.close()
        for copy in copies:
            copy.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        return
