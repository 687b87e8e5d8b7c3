"""A whole gateway in the test's own process, in front of a recording upstream."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
import yaml

from gateway.app.gateway import Gateway, running
from gateway.app.seat import Seat
from gateway.app.source import Source
from gateway.identity.password_hashes import Cost, make
from tests.fakes import RecordingUpstream

PASSWORD = "correct horse battery"
HASH = make(PASSWORD.encode(), Cost(memory_kib=8, passes=1))


def pytest_asyncio_loop_factories() -> dict:
    """Run each test on both event loops: uvloop is the one that serves."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Site:
    """A folder with a configuration in it."""

    folder: Path
    upstream: RecordingUpstream
    sections: dict[str, object] = field(default_factory=dict)

    def write(self, **sections: object) -> None:
        """Write the configuration anew, with *sections* laid over what was there."""
        self.sections |= sections
        new = self.folder / "config.yaml.new"
        new.write_text(yaml.safe_dump(self.sections))
        new.replace(self.folder / "config.yaml")

    @property
    def source(self) -> Source:
        return Source(str(self.folder / "config.yaml"), {})

    @asynccontextmanager
    async def running(self, seat: Seat | None = None) -> AsyncIterator[Gateway]:
        async with running(self.source.read(), source=self.source, seat=seat) as gateway:
            yield gateway


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    upstream = RecordingUpstream()
    await upstream.start()
    (tmp_path / "users.yaml").write_text(yaml.safe_dump({"users": {"alice": {"password": HASH}}}))
    site = Site(tmp_path, upstream)
    site.write(
        listen="127.0.0.1:0",
        public_url="http://localhost",
        upstreams={"app": f"http://127.0.0.1:{upstream.port}"},
        routes=[
            {"path": "/open/*", "upstream": "app", "access": "public"},
            {"path": "/*", "upstream": "app"},
        ],
        login=[{"users": "users.yaml"}],
        sessions={"store": f"sqlite:///{tmp_path / 'gateway.db'}"},
        tokens={"keys": str(tmp_path / "keys")},
        limits={"drain": "5s"},
        log={"level": "error", "access": False},
    )
    level = logging.getLogger().level
    yield site
    logging.getLogger().setLevel(level)
    await upstream.stop()


@dataclass
class Browser:
    """One kept connection to a gateway, and what it was given in cookies."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    cookies: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def open(cls, port: int) -> "Browser":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, path: str, *lines: str, body: str = "", method: str = "") -> "Answer":
        """Send a request and return its answer, whole."""
        self.begin(path, *lines, body=body, method=method)
        return await self.answer()

    def begin(self, path: str, *lines: str, body: str = "", method: str = "") -> None:
        head = [f"{method or ('POST' if body else 'GET')} {path} HTTP/1.1", "Host: localhost"]
        head += lines
        if self.cookies:
            head.append("Cookie: " + "; ".join(f"{n}={v}" for n, v in self.cookies.items()))
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.writer.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())

    async def answer(self) -> "Answer":
        async with asyncio.timeout(5.0):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status = int(head.split(" ", 2)[1])
            length = 0
            for line in head.split("\r\n"):
                name, _, value = line.partition(": ")
                if name.lower() == "content-length":
                    length = int(value)
                if name.lower() == "set-cookie":
                    cookie, _, content = value.partition(";")[0].partition("=")
                    self.cookies[cookie] = content
            return Answer(status, head, (await self.reader.readexactly(length)).decode())

    async def sign_in(self) -> "Answer":
        body = f'{{"username": "alice", "password": "{PASSWORD}"}}'
        return await self.ask("/api/v1/auth/login", body=body)

    async def gone(self) -> bool:
        """Whether the gateway closed the connection without another byte."""
        async with asyncio.timeout(5.0):
            return await self.reader.read() == b""

    def close(self) -> None:
        self.writer.close()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    head: str
    body: str
