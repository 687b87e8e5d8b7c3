"""Processes under measurement: pinned to a core, watched in /proc, stopped with their children.

A process and everything it starts share one session (setsid), so one number finds them all.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM_CORE = 0
LOAD_CORE = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATE, _PARENT, _SESSION, _USER_TIME, _SYSTEM_TIME, _RESIDENT = 0, 1, 3, 11, 12, 21


class DidNotStart(Exception):
    """A system under test ended, or never listened; says what it printed."""


@dataclass(frozen=True, slots=True)
class Command:
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


class Process:
    """One started command and its descendants."""

    def __init__(self, command: Command, core: int, log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # Runs between fork and exec, where no other thread of ours exists.
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509
            )

    def cpu_seconds(self) -> float:
        """User and system time of every process of the session so far, threads included."""
        ticks = sum(int(s[_USER_TIME]) + int(s[_SYSTEM_TIME]) for s in self._stats().values())
        return ticks / _TICKS

    def resident_bytes(self) -> int:
        """RSS, summed: pages shared by a master and its worker count twice."""
        return sum(int(s[_RESIDENT]) for s in self._stats().values()) * _PAGE

    def spread_over(self, cores: Collection[int]) -> None:
        """Let every thread of the session run on all of *cores*."""
        for pid in self._stats():
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)

    def workers(self) -> list[int]:
        """Return the processes of the session that have started no others, the eldest first."""
        stats = self._stats()
        parents = {int(s[_PARENT]) for s in stats.values()}
        return sorted(stats.keys() - parents)

    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        for kill, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, kill)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _stats(self) -> dict[int, list[str]]:
        session = str(self._process.pid)
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # ended meanwhile
                continue
            fields = stat.rpartition(")")[2].split()
            if fields[_SESSION] == session and fields[_STATE] != "Z":
                found[int(entry.name)] = fields
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(process: Process, port: int, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not process.ended():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise DidNotStart(process.log.read_text(errors="replace")[-2000:])


def told_beside_the_load(module: str, order: Mapping[str, Any], patience: float) -> dict[str, Any]:
    """Run *module* on the core of the load; it reads *order* and tells what came of it, in JSON.

    *patience* in seconds. Raises CalledProcessError and TimeoutExpired.
    """
    done = subprocess.run(
        ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", module],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[1],
        timeout=patience,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
