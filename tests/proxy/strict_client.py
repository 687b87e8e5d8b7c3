"""A client that believes an answer only if it is whole: h11 reads it, and sees how it ended."""

import socket
import ssl
from dataclasses import dataclass
from typing import Literal

import h11

Kind = Literal["1.1", "1.0", "1.1 over TLS", "1.0 over TLS"]
KINDS: tuple[Kind, ...] = ("1.1", "1.0", "1.1 over TLS", "1.0 over TLS")


@dataclass(frozen=True)
class Whole:
    """An answer that a careful client takes for complete."""

    status: int
    body: bytes
    interim: tuple[int, ...] = ()


@dataclass(frozen=True)
class Broken:
    """What no careful client takes for an answer: it broke off, or is not HTTP."""

    how: str


def ask(
    connection: socket.socket, raw: bytes, method: str = "GET", *, half_close: bool = False
) -> Whole | Broken:
    """Send *raw*, one request that closes, and read its answer. Blocks: call it in a thread."""
    try:
        connection.sendall(raw)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return _read(connection, method)
    except (ConnectionError, ssl.SSLError) as error:
        # A reset; over TLS also an end that was not announced (RFC 8446 §6.1).
        return Broken(repr(error))
    except h11.RemoteProtocolError as error:
        return Broken(str(error))
    finally:
        connection.close()


def _read(connection: socket.socket, method: str) -> Whole | Broken:
    reader = h11.Connection(h11.CLIENT)
    # What was sent may be no request to h11; only its method matters for reading the answer.
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    status, body, interim = 0, b"", []
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            reader.receive_data(connection.recv(65536))
        elif isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return Broken(repr(event))
    behind = reader.trailing_data[0]
    while data := connection.recv(65536):
        behind += data
    return (
        Broken(f"more came behind it: {behind!r}") if behind else Whole(status, body, (*interim,))
    )


def dial(port: int, trusting: ssl.SSLContext | None) -> socket.socket:
    """Connect to the gateway; with *trusting* over TLS, and strict about how that ends."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    if trusting is None:
        return connection
    return trusting.wrap_socket(connection, server_hostname="localhost", suppress_ragged_eofs=False)
