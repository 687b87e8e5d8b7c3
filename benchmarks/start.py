"""From the start of the process to its first answer to a signed-in user; keys and sessions kept."""

import contextlib
import http.client
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import table
from benchmarks.field import Running, headers, prepared
from benchmarks.processes import SYSTEM_CORE, DidNotStart, Process
from benchmarks.systems.gateway import GATEWAY, GATEWAY_MEMORY
from benchmarks.systems.system import System

_HEAD = ("system", "first answer s", "fastest s", "slowest s", "CPU s", "least CPU s")
_PATIENCE = 30.0


def run(systems: Sequence[System], rounds: int) -> tuple[str, dict[str, Any]]:
    """The table, and the same as plain data."""
    data: dict[str, list[tuple[float, float]]] = {}
    with prepared(_with_both_stores(systems)) as field:
        for one in field.running:
            print(f"start: {one.system.name}", file=sys.stderr, flush=True)
            one.process.stop()
            data[one.system.name] = [_start(one) for _ in range(rounds)]
        left_out = dict(field.left_out)
    rows = [
        (
            name,
            f"{statistics.median(seconds for seconds, _ in taken):.3f}",
            f"{min(seconds for seconds, _ in taken):.3f}",
            f"{max(seconds for seconds, _ in taken):.3f}",
            f"{statistics.median(cpu for _, cpu in taken):.3f}",
            f"{min(cpu for _, cpu in taken):.3f}",
        )
        for name, taken in data.items()
    ]
    notes = "".join(f"\n{name}: left out, {why}" for name, why in left_out.items())
    return table.markdown(_HEAD, rows) + notes, {"start": data, "left_out": left_out}


def _with_both_stores(systems: Sequence[System]) -> list[System]:
    """The gateway twice: what it loads, and so its start, depends on where sessions are kept."""
    return [
        each for one in systems for each in ([one, GATEWAY_MEMORY] if one is GATEWAY else [one])
    ]


def _start(running: Running) -> tuple[float, float]:
    site = running.site
    sent = headers(running.system, site, running.tokens.good)
    begun = time.monotonic()
    process = Process(running.command, SYSTEM_CORE, site.folder / "output.log")
    try:
        while time.monotonic() - begun < _PATIENCE and not process.ended():
            if _answered(site.address, sent):
                return time.monotonic() - begun, process.cpu_seconds()
            time.sleep(0.002)
        raise DidNotStart(process.log.read_text(errors="replace")[-2000:])
    finally:
        process.stop()


def _answered(address: str, sent: dict[str, str]) -> bool:
    connection = http.client.HTTPConnection(address, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/", headers=sent)
        return connection.getresponse().status == http.client.OK
    return False
