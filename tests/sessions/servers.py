"""Real servers on free loopback ports, for as long as a test run needs them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready, what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come up"
        time.sleep(0.02)


def answers(port: int, question: bytes = b"PING\r\n", answer: bytes = b"+PONG") -> bool:
    """Whether a Redis at *port* gives *answer* somewhere in its first packet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(question)
            return answer in connection.recv(4096)
    except OSError:
        return False


class Process:
    """One server process, which a test may stop, freeze or kill."""

    def __init__(self, argv: list[str], *, user: str | None = None) -> None:
        self.argv = argv
        self._user = user if os.geteuid() == 0 else None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            user=self._user,
            group=pwd.getpwnam(self._user).pw_gid if self._user else None,
        )

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def folder(owner: str | None = None) -> Iterator[Path]:
    """A folder that a server's own user can reach, which pytest's temporary folders are not."""
    path = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    try:
        if owner and os.geteuid() == 0:
            shutil.chown(path, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def program(name: str, *folders: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Postgres(Process):
    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Postgres"]:
        binaries = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
        initdb, postgres = program("initdb", *binaries), program("postgres", *binaries)
        with folder("postgres") as data:
            user = "postgres" if os.geteuid() == 0 else None
            subprocess.run(
                [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
                check=True,
                capture_output=True,
                user=user,
            )
            port = free_port()
            settings = [
                f"port={port}",
                "listen_addresses=127.0.0.1",
                f"unix_socket_directories={data}",
            ]
            options = [part for setting in [*settings, "fsync=off"] for part in ("-c", setting)]
            server = cls([postgres, "-D", str(data), *options], user="postgres")
            server.port = port
            server.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            isready = program("pg_isready", *binaries)
            try:
                wait_until(
                    lambda: (
                        not subprocess.run(
                            [isready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
                        ).returncode
                    ),
                    "PostgreSQL",
                )
                yield server
            finally:
                # PostgreSQL waits for its clients to leave on SIGTERM, not on SIGINT.
                server.thaw()
                server.process.send_signal(signal.SIGINT)
                server.close()
