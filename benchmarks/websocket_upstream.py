"""An upstream that agrees to every upgrade and then says nothing, and answers all else shortly."""

import asyncio
import base64
import hashlib
import re
import sys

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)", re.IGNORECASE)
_USER = re.compile(rb"\r\nx-forwarded-user: *([^\r]+)", re.IGNORECASE)


class Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if end:
            self._received = rest
            self._transport.write(_answer(head))


def _answer(head: bytes) -> bytes:
    if key := _KEY.search(head):
        accept = base64.b64encode(hashlib.sha1(key[1] + _MAGIC).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
    user = _USER.search(head)
    body = user[1] if user else b"nobody"
    length = str(len(body)).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
        + length
        + b"\r\n\r\n"
        + body
    )


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
