"""An echo server put through the suite twice at once: directly, and through a gateway process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.autobahn.suite import Suite, Verdict
from tests.end_to_end.running import start

Pair = tuple[Verdict, Verdict]


async def compared(
    suite: Suite, folder: Path, cases: Sequence[str], excluded: Sequence[str] = ()
) -> dict[str, Pair]:
    """Return what the suite says of each case: of the server, and of it behind the gateway."""
    async with _echo() as port:
        config = {
            "listen": "127.0.0.1:0",
            "upstreams": {"app": f"http://127.0.0.1:{port}"},
            "routes": [{"path": "/*", "upstream": "app", "access": "public"}],
        }
        gateway = await asyncio.to_thread(start, folder, config)
        try:
            both = []
            for name, to in (("direct", port), ("through", gateway.port)):
                place = folder / name
                place.mkdir()
                both.append(suite.run(f"ws://127.0.0.1:{to}/", cases, excluded, place))
            direct, through = await asyncio.gather(*both)
        finally:
            await asyncio.to_thread(gateway.stop)
    assert direct.keys() == through.keys()
    return {case: (verdict, through[case]) for case, verdict in direct.items()}


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    """An app that sends each message back, compressed if the client wishes."""
    app = web.Application()
    app.router.add_get("/", _answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _answer(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket
