"""Load at a fixed rate, open loop: requests become due at random moments, whatever is answered.

A closed loop sends the next request when the last one is answered, and so asks least when a system
is slowest. Here the moments are drawn beforehand (a Poisson process, as of many people who do not
know each other), and each time is counted from the moment a request was due: one that had to wait
for a free connection, or for this program, waited.
"""

import collections
import gc
import json
import random
import select
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from benchmarks.processes import told_beside_the_load

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_LATE = 2.0  # seconds to wait for the last answers


@dataclass(frozen=True, slots=True)
class Load:
    """Milliseconds from due to answered, and how many requests that were."""

    requests: int
    p50: float
    p99: float
    p999: float
    worst: float
    broken: int


@dataclass(frozen=True, slots=True)
class Order:
    port: int
    path: str
    headers: Mapping[str, str]
    rate: float
    seconds: float
    connections: int
    seed: int


def run(order: Order) -> Load:
    """Run *order* in a process of its own, beside the upstream."""
    return Load(**told_beside_the_load("benchmarks.open_loop", asdict(order), order.seconds + 60))


class _Client:
    """One keep-alive connection, which carries one request at a time."""

    __slots__ = ("connection", "due", "received")

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), 10)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.received = b""
        self.due = 0.0

    def answered(self) -> bool:
        """Read what there is; whether that completes an answer. Raises ConnectionError."""
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError("closed before it answered")
        data = self.received = self.received + data if self.received else data
        end = data.find(_HEAD_END)
        if end < 0:
            return False
        if not data.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(data[:100].decode("latin-1"))
        if len(data) < end + len(_HEAD_END) + length_of(data[:end]):
            return False
        self.received = b""
        return True


def length_of(head: bytes) -> int:
    """Return what a head says of its body; every system here says it."""
    lowered = head.lower()
    return int(lowered[lowered.index(_LENGTH) + len(_LENGTH) :].partition(b"\r")[0])


class _OpenLoop:
    def __init__(self, order: Order) -> None:
        draw = random.Random(order.seed)
        lines = [f"{name}: {value}" for name, value in order.headers.items()]
        self._request = "\r\n".join([f"GET {order.path} HTTP/1.1", *lines, "", ""]).encode()
        clients = [_Client(order.port) for _ in range(order.connections)]
        self._clients = {one.connection.fileno(): one for one in clients}
        self._free = collections.deque(clients)
        self._waiting: collections.deque[float] = collections.deque()
        self._ready = select.epoll()
        for number in self._clients:
            self._ready.register(number, select.EPOLLIN)
        self._took: list[float] = []
        self._broken = 0
        now = time.perf_counter() + 0.05
        self._end = now + order.seconds
        self._due: collections.deque[float] = collections.deque()
        while (now := now + draw.expovariate(order.rate)) < self._end:
            self._due.append(now)

    def run(self) -> Load:
        clock, due = time.perf_counter, self._due
        asked = len(due)
        while len(self._took) + self._broken < asked:
            now = clock()
            while due and due[0] <= now:
                self._waiting.append(due.popleft())
            self._send()
            if now > self._end + _LATE:
                break
            left = max(0.0, (due[0] if due else now + 0.01) - clock())
            # epoll's own timeout counts in milliseconds, that of select in microseconds.
            if select.select([self._ready], (), (), left)[0]:
                for number, _ in self._ready.poll(0):
                    self._receive(self._clients[number])
        return self._told(asked)

    def _send(self) -> None:
        while self._waiting and self._free:
            client = self._free.popleft()
            client.due = self._waiting.popleft()
            client.connection.send(self._request)

    def _receive(self, client: _Client) -> None:
        try:
            if not client.answered():
                return
        except OSError:
            self._broken += 1
            self._ready.unregister(client.connection)
            client.connection.close()
            return
        self._took.append(time.perf_counter() - client.due)
        self._free.append(client)

    def _told(self, asked: int) -> Load:
        done = len(self._took)
        took = sorted(self._took) or [0.0]
        p50, p99, p999 = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99, 0.999))
        return Load(done, p50, p99, p999, took[-1] * 1000, asked - done)


def main() -> None:
    order = Order(**json.load(sys.stdin))
    loop = _OpenLoop(order)
    gc.disable()  # a pause of this program's own would be taken for the system's
    json.dump(asdict(loop.run()), sys.stdout)


if __name__ == "__main__":
    main()
