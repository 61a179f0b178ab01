"""An HTTP proxy for tests, on this machine: `CONNECT` and plain requests, to wherever the test says.

Whatever host is asked for, connections go to `target`, a port of this machine: names that do not exist can be
asked for.
"""

import asyncio
from types import TracebackType
from typing import Self


class Proxy:
    """The proxy. `requests`: the first line of each request, its `Proxy-Authorization`; `heads`: all that it
    was told.
    """

    def __init__(self, target: int, *, refuses: int | None = None) -> None:
        self.requests: list[tuple[str, str]] = []
        self.heads: list[str] = []
        self._target = target
        self._refuses = refuses
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_writer: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            given = [
                line.partition(":")[2].strip() for line in lines if line.lower().startswith("proxy-auth")
            ]
            self.heads.append(head.decode("latin-1"))
            self.requests.append((first, given[0] if given else ""))
            if self._refuses is not None:
                writer.write(f"HTTP/1.1 {self._refuses} No\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            if first.startswith("CONNECT"):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far_writer.write(head)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The proxy is closing; the streams' own callback would report a task that ends as cancelled.
            pass
        finally:
            writer.transport.abort()
            if far_writer is not None:
                far_writer.transport.abort()
            self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.close()
