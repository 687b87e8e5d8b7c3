"""Both ends of what crosses a gateway process, in the hands of the test: no server, no client."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.running import Running, until

SECONDS = 15.0
# So many looks in a row without a change.
STEADY = 5
_RESET = struct.pack("ii", 1, 0)
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class End:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS)
        self.socket = connection

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> bytes:
        """Read one head and not a byte more."""
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            assert byte, f"closed within a head: {bytes(head)!r}"
            head += byte
        return bytes(head)

    def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            got = self.socket.recv(min(1 << 20, size - len(data)))
            assert got, f"closed after {len(data)} of {size} bytes"
            data += got
        return bytes(data)

    def chunked(self, size: int) -> bytes:
        """Read whole chunks that hold *size* bytes together."""
        data = b""
        while len(data) < size:
            line = b""
            while not line.endswith(b"\r\n"):
                line += self.read(1)
            data += self.read(int(line, 16))
            assert self.read(2) == b"\r\n"
        return data

    def rest(self) -> bytes:
        """Read all until the other side closes. Raises ConnectionResetError where it resets."""
        data = bytearray()
        while got := self.socket.recv(1 << 16):
            data += got
        return bytes(data)

    def ended(self) -> bool:
        """Wait until the other side has closed, politely or not, whatever still comes."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.rest()
        return True

    def close(self) -> None:
        """Say goodbye, where TLS has a word for it, and close."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.fileno() >= 0:
            with contextlib.suppress(OSError, ValueError):
                self.socket.setblocking(False)
                self.socket.unwrap()
        self.socket.close()

    def reset(self) -> None:
        """Close without a goodbye, as a process that is killed or a machine that is cut off."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if isinstance(self.socket, ssl.SSLSocket):
            socket.socket(fileno=self.socket.detach()).close()
        else:
            self.socket.close()

    def end_half(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)


@dataclass
class RawApp:
    """A listening socket; each accepted connection is the test's to answer."""

    listening: socket.socket
    tls: ssl.SSLContext | None = None
    accepted: list[End] = field(default_factory=list)

    @property
    def port(self) -> int:
        port: int = self.listening.getsockname()[1]
        return port

    def accept(self) -> End:
        connection, _ = self.listening.accept()
        connection.settimeout(SECONDS)
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True)
        self.accepted.append(End(connection))
        return self.accepted[-1]


@contextlib.contextmanager
def raw_app(tls: ssl.SSLContext | None = None) -> Iterator[RawApp]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        listening.settimeout(SECONDS)
        app = RawApp(listening, tls)
        try:
            yield app
        finally:
            for end in app.accepted:
                end.close()


@dataclass
class Way:
    """From clients through a gateway process to an app, and how clients trust the gateway."""

    gateway: Running
    app: RawApp
    trust: ssl.SSLContext | None = None
    _clients: list[End] = field(default_factory=list)

    def warm(self) -> "Way":
        """Let the process open what it opens once."""
        self.websocket()
        self.close()
        return self

    def client(self) -> End:
        """Open a connection to the gateway."""
        connection = socket.create_connection(("127.0.0.1", self.gateway.port), SECONDS)
        if self.trust is not None:
            connection = self.trust.wrap_socket(connection, server_hostname="localhost")
        self._clients.append(End(connection))
        return self._clients[-1]

    def asked(self, head: bytes) -> tuple[End, End, bytes]:
        """Send *head*; the client's end, the app's end, and the head as the app got it."""
        client = self.client()
        client.send(head)
        upstream = self.app.accept()
        return client, upstream, upstream.head()

    def websocket(self) -> tuple[End, End]:
        """Open a WebSocket; the client's end and the app's end."""
        client, upstream, _ = self.asked(request("GET", "/ws", *UPGRADE))
        upstream.send(SWITCHED)
        assert client.head().startswith(b"HTTP/1.1 101 ")
        return client, upstream

    def sockets(self) -> int:
        """Return how many sockets the gateway process has open; its files are its own affair."""
        names = []
        for link in Path(f"/proc/{self.gateway.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                names.append(str(link.readlink()))
        return sum(name.startswith("socket:") for name in names)

    def sockets_at_rest(self) -> int:
        """Return how many it has open without any connection of ours."""
        self.close()
        for end in self.app.accepted:
            end.close()
        seen = [self.sockets()]

        def steady() -> bool:
            seen.append(self.sockets())
            return len(seen) > STEADY and len(set(seen[-STEADY:])) == 1

        until(steady, "its sockets stay as they are")
        return seen[-1]

    def back_to(self, sockets: int) -> None:
        until(lambda: self.sockets() <= sockets, f"no more than {sockets} sockets are open")

    def close(self) -> None:
        for client in self._clients:
            client.close()


def request(method: str, path: str, *lines: str, version: str = "1.1") -> bytes:
    """Return the head of a request."""
    head = (f"{method} {path} HTTP/{version}", "Host: localhost", *lines, "", "")
    return "\r\n".join(head).encode()


def config(app: RawApp, **sections: object) -> dict[str, object]:
    """Return a configuration under which everybody may do anything."""
    return {
        "listen": "127.0.0.1:0",
        "upstreams": {"app": f"http://127.0.0.1:{app.port}"},
        "routes": [{"path": "/*", "upstream": "app", "access": "public"}],
        **sections,
    }


def write_certificate(folder: Path, certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Write tls.crt and tls.key into *folder* and return a server's context of them."""
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context
