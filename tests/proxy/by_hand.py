"""An app whose every move the test makes: it accepts, and does nothing else by itself."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from gateway.proxy.balancing import Target
from gateway.proxy.client_wire import WRITE_HIGH
from tests.proxy.conftest import Client, World, connecting_to, until

_STEP: Final = 8192
LAST_CHUNK: Final = b"0\r\n\r\n"


class AppByHand:
    """`accepted` gives the app's end of each connection in turn."""

    def __init__(self) -> None:
        self.port = 0
        self._waiting: asyncio.Queue[Client] = asyncio.Queue()
        self._clients: list[Client] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 16)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()
        if self._server is not None:
            self._server.close()

    async def accepted(self) -> Client:
        async with asyncio.timeout(10):
            return await self._waiting.get()

    @property
    def connections(self) -> int:
        """How many were accepted in all."""
        return len(self._clients)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        self._clients.append(client)
        self._waiting.put_nowait(client)


@asynccontextmanager
async def app_by_hand(world: World, **options) -> AsyncIterator[AppByHand]:
    """Serve from such an app. Options of Pool, or of PoolLimits."""
    app = AppByHand()
    await app.start()
    world.serve_from(Target("by-hand", connecting_to(app)), **options)
    try:
        yield app
    finally:
        await app.stop()


async def overfill(
    transport: asyncio.Transport,
    peer: Client,
    send: Callable[[bytes], None],
    taken: Callable[[], int],
    *,
    end: bytes = b"",
) -> None:
    """Send chunks, and *end* behind them, beyond what *transport* will hold: its *peer* reads none.

    *taken* tells how much of the body the gateway has taken so far.
    """
    # The kernel shall hold little of it.
    for one, option in ((peer.writer, socket.SO_RCVBUF), (transport, socket.SO_SNDBUF)):
        one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 16384)
    sent = 0
    while transport.get_write_buffer_size() < WRITE_HIGH - 2 * _STEP:
        send(_chunk(_STEP))
        sent += _STEP
        await until(lambda wanted=sent: taken() == wanted)
    # So little comes in one piece, which is taken whole.
    send(_chunk(3 * _STEP) + end)
    await until(lambda: taken() == sent + 3 * _STEP)


def _chunk(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, bytes(size))
