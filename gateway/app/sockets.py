"""The sockets that the gateway listens on: bound once, one for each process that shares the port.

Measured with two workers on uvloop and bursts of 64 connections: with one socket for both, one
worker took all 64 more often than not, since it accepts until nothing is left; with a socket each
(SO_REUSEPORT) the system gave them 30 to 34 (docs/decisions/processes.md).
"""

import socket
from pathlib import Path

from gateway.config.values import Address, UnixAddress

Sockets = tuple[socket.socket, ...]


class CannotListen(Exception):
    """The message names the address, and why it cannot be had."""


def open_sockets(address: Address, sharers: int = 1) -> list[Sockets]:
    """Bind *address* once for each of *sharers*, and return what each listens on.

    A unix socket cannot be bound twice: there, all get the same one. Raises CannotListen.
    """
    try:
        if isinstance(address, UnixAddress):
            return [(_unix(address.path),)] * sharers
        return _tcp(address.host, address.port, sharers)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror or error}") from error


Where = tuple[int, str | tuple[str | bytes | int, ...]]


def places_of(sockets: Sockets) -> tuple[Where, ...]:
    """Return where *sockets* are bound, for `bind_again`."""
    return tuple((each.family, each.getsockname()) for each in sockets)


def bind_again(places: tuple[Where, ...]) -> Sockets:
    """Take a share of *places* again, which others still have. Raises OSError."""
    return tuple(_bound(family, where, shared=True) for family, where in places)


def _unix(path: str) -> socket.socket:
    if Path(path).is_socket() and not _answers(path):
        Path(path).unlink()  # left behind by a process that was killed
    return _bound(socket.AF_UNIX, path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
    return True


def _tcp(host: str, port: int, sharers: int) -> list[Sockets]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = list(dict.fromkeys((family, where) for family, _, _, _, where in found))
    opened: list[list[socket.socket]] = [[] for _ in range(sharers)]
    try:
        for family, (name, _, *rest) in places:
            if sharers > 1 and port:
                # With SO_REUSEPORT a second gateway would start, and take half of the requests.
                _bound(family, (name, port, *rest)).close()
            for sockets in opened:
                bound = _bound(family, (name, port, *rest), shared=sharers > 1)
                sockets.append(bound)
                # The system chose it once: everybody after takes the same.
                port = bound.getsockname()[1]
    except BaseException:
        for sockets in opened:
            for bound in sockets:
                bound.close()
        raise
    return [tuple(sockets) for sockets in opened]


def _bound(
    family: int, where: str | tuple[str | bytes | int, ...], *, shared: bool = False
) -> socket.socket:
    bound = socket.socket(family)
    try:
        if family != socket.AF_UNIX:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
        bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except BaseException:
        bound.close()
        raise
    return bound
