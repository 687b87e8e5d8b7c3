"""The gateway's memory while strangers and more and more sessions pass through it."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.crowd import SUBJECT, crowds, session_id
from benchmarks.processes import LOAD_CORE, Command, Process, free_port, wait_until_listening
from gateway.sessions.refresh_token import mint
from gateway.tokens.key_folder import KeyFolder

_AT_ONCE = 16
_HASH = "$2y$04$" + "." * 53  # of no password; nobody signs in here
_BATCH = 12_000  # more than any cache of the gateway remembers
_BATCHES = 3
_GRANTED = b"Set-Cookie: accessToken=e"


def memory(folder: Path) -> dict[str, float]:
    """Return what the process held after each step, in MiB."""
    return asyncio.run(_memory(folder))


async def _memory(folder: Path) -> dict[str, float]:
    port = free_port()
    with (
        crowds("redis", folder, (_BATCH * _BATCHES,)) as (crowd,),
        _gateway(folder, port, crowd.url) as process,
    ):
        await crowd.load(0, crowd.count)
        steps = {"after the start": process.resident_bytes()}
        for batch in range(_BATCHES):
            await send(port, _strangers(batch), renewed=False)
            steps[f"after {(batch + 1) * _BATCH:,} anonymous requests"] = process.resident_bytes()
        now = time.time()
        secrets = KeyFolder.open(folder / "keys", "ES256", now).current().refresh_secrets(now)
        for batch in range(_BATCHES):
            await send(
                port,
                _sessions(batch, lambda each: mint(secrets, session_id(each), 1)),
                renewed=True,
            )
            steps[f"after {(batch + 1) * _BATCH:,} renewed sessions"] = process.resident_bytes()
    return {name: size / 2**20 for name, size in steps.items()}


def _strangers(batch: int) -> Iterator[tuple[bytes, bytes]]:
    for number in range(_BATCH):
        token = f"{batch}-{number}".rjust(60, "x")
        kind = (b"accessToken=", b"session=", b"refreshToken=gr1.")[number % 3]
        yield b"/page?" + token.encode(), kind + token.encode()


def _sessions(batch: int, token: Callable[[int], str]) -> Iterator[tuple[bytes, bytes]]:
    for number in range(batch * _BATCH, (batch + 1) * _BATCH):
        yield b"/page", b"refreshToken=" + token(number).encode()


async def send(
    port: int,
    requests: Iterator[tuple[bytes, bytes]],
    *,
    renewed: bool,
    at_once: int = _AT_ONCE,
) -> None:
    """Send paths with their cookies; every answer, or none, has to bring a new access token."""

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path, cookie in requests:
            head = await _exchanged(reader, writer, path, cookie)
            while renewed and _GRANTED not in head and head.startswith(b"HTTP/1.1 503"):
                await asyncio.sleep(1.0)  # the disk of a busy machine may be too slow, for once
                head = await _exchanged(reader, writer, path, cookie)
            if (_GRANTED in head) != renewed:
                raise SystemExit(f"not what was to be measured: {head!r}")
        writer.close()

    clients: list[Awaitable[None]] = [client() for _ in range(at_once)]
    await asyncio.gather(*clients)


async def _exchanged(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: bytes, cookie: bytes
) -> bytes:
    writer.write(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n\r\n" % (path, cookie))
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return head


@contextmanager
def _gateway(folder: Path, port: int, store: str) -> Iterator[Process]:
    """Start a gateway before an app that is not there: what it answers is not the point."""
    config = {
        "listen": f"127.0.0.1:{port}",
        "public_url": "http://127.0.0.1",
        "upstreams": {"app": f"http://127.0.0.1:{free_port()}"},
        "routes": [{"path": "/*", "upstream": "app"}],
        "login": [{"htpasswd": str(folder / "htpasswd")}],
        "tokens": {"keys": str(folder / "keys")},
        "sessions": {"store": store},
        "log": {"access": False, "level": "error"},
    }
    (folder / "htpasswd").write_text(f"{SUBJECT}:{_HASH}\n")
    (folder / "config.yaml").write_text(json.dumps(config))
    repository = str(Path(__file__).parents[1])
    command = Command(
        [sys.executable, "-m", "gateway", "run", "-c", "config.yaml"],
        {"PYTHONPATH": repository},
        folder,
    )
    process = Process(command, LOAD_CORE, folder / "gateway.log")
    try:
        wait_until_listening(process, port)
        yield process
    finally:
        process.stop()
