"""1 GiB bodies and 64 MiB messages through a process, with either side slow (H17, W3).

The slow side does not read at all until the fast side cannot write any more; the process must
neither have taken more in than buffers hold nor need more memory than when it was idle.
"""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.running import start
from tests.streams.raw_app import End, Way, config, raw_app, request

MIB = 1 << 20
BODY = 1024 * MIB
MESSAGE = 64 * MIB
# The kernel's own buffers, of three sockets at most on the way, before a writer has to wait.
TAKEN_AT_MOST = 48 * MIB
GROWTH_AT_MOST = 16 * MIB
# A writer that may not write for so long is one that is held back.
HELD_BACK_SECONDS = 0.5


@pytest.fixture(scope="module")
def way(tmp_path_factory) -> Iterator[Way]:
    with raw_app() as app:
        gateway = start(tmp_path_factory.mktemp("bulk"), config(app))
        way = Way(gateway, app).warm()
        yield way
        way.close()
        gateway.stop()


@dataclass
class Memory:
    """The resident memory of the gateway process, from now on."""

    way: Way

    def __post_init__(self) -> None:
        self._of = Path(f"/proc/{self.way.gateway.process.pid}")
        self.reset_high_water()
        self.before = self._bytes("VmRSS")

    def reset_high_water(self) -> None:
        (self._of / "clear_refs").write_text("5")

    def grown(self) -> int:
        """The most it had, over what it had at first."""
        return self._bytes("VmHWM") - self.before

    def _bytes(self, name: str) -> int:
        lines = (self._of / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def block(number: int) -> bytes:
    """A piece of a body that is like no other piece of it."""
    return number.to_bytes(8) + _NOISE[8:]


_NOISE = hashlib.shake_256(b"noise").digest(MIB)


def crosses(sender: End, receiver: End, size: int, *, chunked: bool = False) -> int:
    """Send *size* bytes; return how many were on their way when the sender was held back."""
    held_back = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        sending = threads.submit(_send, sender, size, held_back, chunked=chunked)
        receiving = threads.submit(_receive, receiver, size, held_back, chunked=chunked)
        on_their_way, sent = sending.result(120)
        assert receiving.result(120) == sent
    return on_their_way


def _send(end: End, size: int, held_back: threading.Event, *, chunked: bool) -> tuple[int, str]:
    told, on_their_way, gone = hashlib.sha256(), 0, 0
    end.socket.settimeout(HELD_BACK_SECONDS)
    for number in range(size // MIB):
        piece = block(number)
        told.update(piece)
        view = memoryview(b"%x\r\n%b\r\n" % (MIB, piece) if chunked else piece)
        while view:
            try:
                written = end.socket.send(view)
            except TimeoutError:
                if not held_back.is_set():
                    on_their_way = gone
                    held_back.set()
                    end.socket.settimeout(30)
                    continue
                raise
            view = view[written:]
            gone += written
    if chunked:
        end.send(b"0\r\n\r\n")
    held_back.set()
    return on_their_way, told.hexdigest()


def _receive(end: End, size: int, held_back: threading.Event, *, chunked: bool) -> str:
    assert held_back.wait(30)
    end.socket.settimeout(30)
    told, left = hashlib.sha256(), size
    with end.socket.makefile("rb", buffering=MIB) as stream:
        while left:
            length = int(stream.readline(), 16) if chunked else min(left, MIB)
            data = stream.read(length)
            assert len(data) == length, "it ends too early"
            told.update(data)
            left -= length
            if chunked:
                assert stream.read(2) == b"\r\n"
        if chunked:
            assert stream.read(5) == b"0\r\n\r\n"
    return told.hexdigest()


FRAMINGS = {"chunked": "Transfer-Encoding: chunked", "with a length": f"Content-Length: {BODY}"}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_h17_an_upload_of_1_gib_waits_for_the_app_at_constant_memory(way: Way, framing: str):
    memory = Memory(way)
    client, app, _ = way.asked(request("POST", "/upload", FRAMINGS[framing]))

    taken = crosses(client, app, BODY, chunked=framing == "chunked")

    assert 0 < taken < TAKEN_AT_MOST
    assert memory.grown() < GROWTH_AT_MOST
    app.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    assert client.head().startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("framing", FRAMINGS)
def test_h17_a_download_of_1_gib_waits_for_the_client_at_constant_memory(way: Way, framing: str):
    memory = Memory(way)
    client, app, _ = way.asked(request("GET", "/download"))
    app.send(f"HTTP/1.1 200 OK\r\n{FRAMINGS[framing]}\r\nConnection: close\r\n\r\n".encode())
    assert client.head().startswith(b"HTTP/1.1 200 ")

    taken = crosses(app, client, BODY, chunked=framing == "chunked")

    assert 0 < taken < TAKEN_AT_MOST
    assert memory.grown() < GROWTH_AT_MOST


@pytest.mark.parametrize("who", ["the client", "the app"])
def test_w3_a_message_of_64_mib_waits_for_its_reader_at_constant_memory(way: Way, who: str):
    memory = Memory(way)
    client, app = way.websocket()
    sender, receiver = (client, app) if who == "the client" else (app, client)
    masked = who == "the client"
    head = bytes((0x82, 0x7F | masked << 7)) + MESSAGE.to_bytes(8) + bytes(4 * masked)
    sender.send(head)
    assert receiver.read(len(head)) == head

    taken = crosses(sender, receiver, MESSAGE)

    assert 0 < taken < TAKEN_AT_MOST
    assert memory.grown() < GROWTH_AT_MOST
    receiver.send(b"\x8a\x00")
    assert sender.read(2) == b"\x8a\x00"
