"""An echo server put through the suite twice at once: directly, and through a gateway process."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.autobahn.suite import Suite, Verdict
from tests.end_to_end.running import start

Pair = tuple[Verdict, Verdict]
_TURNS = 5


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


async def different(
    suite: Suite, folder: Path, verdicts: Mapping[str, Pair]
) -> dict[str, list[Pair]]:
    """Return the cases of which nothing was ever said of both, and all that was said of them.

    Those that differ are run again, since some verdicts hang on a moment, also directly: whether an
    echo is still read when the connection is failed right behind it (4.1.*, 4.2.*).
    """
    said = {case: [pair] for case, pair in verdicts.items() if pair[0] != pair[1]}
    for turn in range(_TURNS):
        apart = sorted(case for case, pairs in said.items() if not _overlap(pairs))
        if not apart:
            break
        place = folder / f"again-{turn}"
        place.mkdir()
        for case, pair in (await compared(suite, place, apart)).items():
            said[case].append(pair)
    return {case: pairs for case, pairs in said.items() if not _overlap(pairs)}


def _overlap(pairs: Sequence[Pair]) -> bool:
    direct, through = zip(*pairs, strict=True)
    return not set(direct).isdisjoint(through)


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
