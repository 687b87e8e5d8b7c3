"""An app that knows nothing of sign-in: it tells what reached it, and remembers it for the test."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web


@dataclass(frozen=True)
class Arrival:
    """A request as the app got it. Header names and values as they were spelled."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: str

    def header(self, name: str) -> str | None:
        """Return the only field of that name."""
        values = [value for each, value in self.headers if each.lower() == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass
class EchoApp:
    """The app, with a thread and a loop of its own."""

    port: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    # Answers of …/big that are not read to their end yet.
    pouring: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def last(self, path: str) -> Arrival:
        """Return the newest request for *path*, query aside."""
        return [each for each in self.arrivals if each.target.partition("?")[0] == path][-1]

    def reached(self, path: str) -> bool:
        return any(each.target.partition("?")[0] == path for each in self.arrivals)

    def release(self) -> None:
        """Let the requests for …/held be answered that wait now; later ones wait anew."""
        self._loop.call_soon_threadsafe(self._released.set)
        self._loop.call_soon_threadsafe(self._released.clear)

    @contextlib.contextmanager
    def running(self) -> Iterator["EchoApp"]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        runner = self._call(self._start())
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.release()
            self._call(runner.cleanup())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(5)
            self._loop.close()

    def _call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> web.AppRunner:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        arrival = Arrival(
            request.method,
            request.raw_path,
            tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in request.raw_headers
            ),
            (await request.read()).decode("latin-1"),
        )
        self.arrivals.append(arrival)
        last_part = request.path.rpartition("/")[2]
        if last_part == "held":
            await self._released.wait()
        if last_part == "events":
            return await self._tell(request)
        if last_part == "big":
            return await self._pour(request)
        if last_part == "socket":
            return await self._talk(request)
        answer = web.json_response({"method": arrival.method, "target": arrival.target})
        if last_part == "cookies":
            for value in request.query.getall("set", []):
                answer.headers.add("Set-Cookie", value)
        return answer

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        """Begin a stream of events that the other side has to end."""
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        with contextlib.suppress(ConnectionError):
            await stream.write(b"data: first\n\n")
            while not self._stopping.is_set():
                await asyncio.sleep(0.1)
                await stream.write(b": still here\n\n")
        return stream

    async def _pour(self, request: web.Request) -> web.StreamResponse:
        """Answer with as many MiB as are asked for, as fast as they are read."""
        size = int(request.query.get("mib", "4"))
        stream = web.StreamResponse(headers={"Content-Length": str(size << 20)})
        await stream.prepare(request)
        self.pouring += 1
        try:
            with contextlib.suppress(ConnectionError):
                for _ in range(size * 16):
                    await stream.write(bytes(1 << 16))
        finally:
            self.pouring -= 1
        return stream

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"echo: {message.data}")
        return socket
