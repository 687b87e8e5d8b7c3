"""What an idle client costs: memory of each system per keep-alive connection and per WebSocket."""

import contextlib
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.field import Running, headers, prepared
from benchmarks.processes import (
    LOAD_CORE,
    Command,
    Process,
    free_port,
    wait_until_listening,
)
from benchmarks.systems.system import System

_HEAD = ("system", "KB per idle connection", "KB per idle WebSocket", "RSS MB before")
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-Fetch-Mode": "websocket",
}
_WARM = 50


class Unexpected(Exception):
    """An answer with another status than the one this scenario is about."""


def run(systems: Sequence[System], clients: int) -> tuple[str, dict[str, Any]]:
    """The table, and the same as plain data."""
    _allow_files(2 * clients + 200)
    data: dict[str, Any] = {}
    with _upgrading_upstream() as upstream_port, prepared(systems, upstream_port) as field:
        for one in list(field.running):
            print(f"idle: {one.system.name}", file=sys.stderr, flush=True)
            try:
                data[one.system.name] = _measure(one, clients)
            except (Unexpected, OSError) as error:
                field.leave_out(one, str(error))
        left_out = dict(field.left_out)
    rows = [
        (
            name,
            f"{figures['connection_bytes'] / 1000:.1f}",
            f"{figures['websocket_bytes'] / 1000:.1f}",
            f"{figures['resident_bytes'] / 1e6:.0f}",
        )
        for name, figures in data.items()
    ]
    notes = "".join(f"\n{name}: left out, {why}" for name, why in left_out.items())
    return table.markdown(_HEAD, rows) + notes, {"idle": data, "left_out": left_out}


def _measure(running: Running, clients: int) -> dict[str, float]:
    plain = _head(running, {})
    upgrade = _head(running, {**_UPGRADE, "Origin": f"http://{running.site.address}"})
    with _clients(running, plain, 200, _WARM), _clients(running, upgrade, 101, _WARM):
        before = _settled(running)
    with _clients(running, plain, 200, clients):
        connections = _settled(running) - before
    between = _settled(running)
    with _clients(running, upgrade, 101, clients):
        websockets = _settled(running) - min(before, between)
    return {
        "resident_bytes": before,
        "connection_bytes": connections / clients,
        "websocket_bytes": websockets / clients,
    }


def _head(running: Running, more: Mapping[str, str]) -> bytes:
    sent = headers(running.system, running.site, running.tokens.good)
    lines = [f"{name}: {value}" for name, value in {**sent, **more}.items()]
    return "\r\n".join(["GET /live HTTP/1.1", *lines, "", ""]).encode()


@contextlib.contextmanager
def _clients(running: Running, head: bytes, status: int, count: int) -> Iterator[None]:
    """Hold *count* connections open, each after one answer with *status*."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", running.site.port), 30)
            )
            client.sendall(head)
            answer = client.recv(65536)
            if not answer.startswith(f"HTTP/1.1 {status} ".encode()):
                raise Unexpected(f"not {status} but {answer[:100]!r}")
        yield


def _settled(running: Running) -> int:
    """RSS once it has stopped moving."""
    last, now = -1, running.process.resident_bytes()
    for _ in range(20):
        if last == now:
            break
        time.sleep(0.3)
        last, now = now, running.process.resident_bytes()
    return now


@contextlib.contextmanager
def _upgrading_upstream() -> Iterator[int]:
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.websocket_upstream", str(port)]
    log = Path(f"/tmp/benchmarks-websocket-{port}.log")
    process = Process(Command(argv, {}, Path(__file__).resolve().parents[1]), LOAD_CORE, log)
    try:
        wait_until_listening(process, port)
        yield port
    finally:
        process.stop()
        log.unlink(missing_ok=True)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
