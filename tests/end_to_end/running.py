"""The gateway as its users run it: a process of its own, started from a configuration file."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]


def until(
    condition: Callable[[], Any], what: str, seconds: float = 15.0, every: float = 0.02
) -> Any:
    """Ask again and again until *condition* holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the commands need, and nothing that would configure them by chance."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | dict(extra or {})


def command(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `gateway` with *words* in *folder*, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=folder,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class Running:
    """A gateway process and what it has said so far."""

    def __init__(
        self, folder: Path, words: Sequence[str], *, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *words],
            cwd=folder,
            env=environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.port = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, text: str) -> str:
        """Wait for a line that holds *text*, and return it."""

        def found() -> str:
            # Asked first: once the process has ended, no more lines can come.
            ended = self.process.poll() is not None
            if ended:
                self._reading.join(5)
            line = next((each for each in self.lines if text in each), "")
            assert line or not ended, f"ended with {self.process.returncode}:\n{self.log}"
            return line

        line: str = until(found, f"the log says {text!r}:\n{self.log}", 30)
        return line

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the JSON lines of the log whose event or message is *name*."""
        parsed = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [each for each in parsed if name in (each.get("event"), each.get("message"))]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self, seconds: float = 15.0) -> int:
        code = self.process.wait(seconds)
        self._reading.join(5)
        return code

    def stop(self) -> None:
        """End as an operator would; nothing it ever said may be a traceback."""
        if self.process.poll() is None:
            self.terminate()
            try:
                assert self.wait() == 0, self.log
            finally:
                self.process.kill()
        assert "Traceback" not in self.log, self.log


def write_config(folder: Path, config: Mapping[str, Any]) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    return path


def start(
    folder: Path, config: Mapping[str, Any], *, environ: Mapping[str, str] | None = None
) -> Running:
    """Write the configuration, start `gateway run` by it and wait until it listens."""
    write_config(folder, config)
    running = Running(folder, ["run", "-c", "config.yaml"], environ=environ)
    try:
        line = running.said("listening on ")
    except BaseException:
        running.process.kill()
        raise
    address = line.partition("listening on ")[2].partition(" ")[0]
    running.port = 0 if address.startswith("unix:") else int(address.rpartition(":")[2])
    return running
