"""One HTTP request, as a browser's network stack sends it: no retries, no cookies of its own."""

import asyncio
import contextlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    status: int
    set_cookies: tuple[str, ...]
    body: bytes


class NotSent(Exception):
    """Nobody listens there: the load balancer asks another gateway."""


class Lost(Exception):
    """The request may have been carried out; there is no answer."""


async def ask(
    port: int, method: str, path: str, cookie: str, body: bytes = b"", *, hang_up: float | None
) -> Reply:
    """Send a request. With *hang_up*, leave after so many seconds without reading."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise NotSent from error
    try:
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: close",
            "Accept: */*",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Site: same-origin",
            f"Content-Length: {len(body)}",
            *(["Content-Type: application/json"] if body else []),
            *([f"Cookie: {cookie}"] if cookie else []),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        if hang_up is not None:
            await writer.drain()
            await asyncio.sleep(hang_up)
            raise Lost
        return _reply(await reader.read())
    except OSError as error:
        raise Lost from error
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _reply(raw: bytes) -> Reply:
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        raise Lost
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    if len(body) < int(dict(headers).get("content-length", "0")):
        raise Lost
    cookies = tuple(value for name, value in headers if name == "set-cookie")
    return Reply(int(first.split()[1]), cookies, body)
