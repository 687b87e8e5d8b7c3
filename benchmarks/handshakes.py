"""New TLS connections, one request in each: full handshakes, or resumed from the session before."""

import json
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from benchmarks.processes import told_beside_the_load

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Order:
    port: int
    path: str
    headers: Mapping[str, str]
    seconds: float
    resumed: bool


@dataclass(frozen=True, slots=True)
class Load:
    """*unlike* are connections that were resumed though they should not be, or the other way."""

    connections: int
    seconds: float
    unlike: int
    cipher: str


def run(order: Order) -> Load:
    """Run *order* in a process of its own, beside the upstream."""
    return Load(**told_beside_the_load("benchmarks.handshakes", asdict(order), order.seconds + 60))


class _Client:
    """Connects again and again, as one browser after the other or as the same one."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        headers = {**order.headers, "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self._request = "\r\n".join([f"GET {order.path} HTTP/1.1", *lines, "", ""]).encode()
        self._session: ssl.SSLSession | None = None
        self.connections = self.unlike = 0
        self.cipher = ""

    def run(self, until: float) -> None:
        self._connect()  # what can be resumed from the second on
        while time.perf_counter() < until:
            resumed = self._connect()
            self.connections += 1
            self.unlike += resumed is not self._order.resumed

    def _connect(self) -> bool:
        plain = socket.create_connection(("127.0.0.1", self._order.port), 10)
        # The request follows the end of the handshake at once, acknowledged or not.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._context.wrap_socket(plain, session=self._session) as connection:
            connection.sendall(self._request)
            answer = b""
            while data := connection.recv(65536):
                answer += data
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise ConnectionError(answer[:100])
            self.cipher = " ".join(map(str, (connection.cipher() or ("none", ""))[:2]))
            if self._order.resumed:
                # Tickets come after the handshake in TLS 1.3 (RFC 8446 §4.6.1).
                self._session = connection.session
            return bool(connection.session_reused)


def main() -> None:
    order = Order(**json.load(sys.stdin))
    begun = time.perf_counter()
    clients = [_Client(order) for _ in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(lambda one: one.run(begun + order.seconds), clients))
    load = Load(
        sum(one.connections for one in clients),
        time.perf_counter() - begun,
        sum(one.unlike for one in clients),
        clients[0].cipher,
    )
    json.dump(asdict(load), sys.stdout)


if __name__ == "__main__":
    main()
