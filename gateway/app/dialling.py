"""Opens connections to targets of upstreams: TCP, TLS and unix sockets."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, TypeGuard

import aiohappyeyeballs

from gateway.app.certificate import bad, bad_pair, no_password
from gateway.app.names import Names
from gateway.config.values import Address, Target, TcpAddress, UnixAddress, Upstream
from gateway.proxy.balancing import Connect

# RFC 8305 §5: after so long without an answer, the next address is tried beside the first.
_NEXT_ADDRESS_SECONDS: Final = 0.25

_Factory = Callable[[], asyncio.Protocol]


def connecting(target: Target, tls: ssl.SSLContext | None, names: Names) -> Connect:
    """Return what opens a connection to *target*; *tls* is used where its address says https."""
    address = target.address
    if isinstance(address, UnixAddress):
        return _unix(address.path)
    context = tls if target.tls else None
    if not is_name(address):
        return _tcp(address.host, address.port, context)
    return _named(address.host, address.port, context, names)


def is_name(address: Address) -> TypeGuard[TcpAddress]:
    """Whether *address* has to be looked up."""
    if isinstance(address, UnixAddress):
        return False
    try:
        ip_address(address.host)
    except ValueError:
        return True
    return False


def _unix(path: str) -> Connect:
    async def connect(factory: _Factory) -> object:
        return await asyncio.get_running_loop().create_unix_connection(factory, path)

    return connect


def _tcp(host: str, port: int, tls: ssl.SSLContext | None) -> Connect:
    name = host if tls is not None else None

    async def connect(factory: _Factory) -> object:
        return await asyncio.get_running_loop().create_connection(
            factory, host, port, ssl=tls, server_hostname=name
        )

    return connect


def _named(host: str, port: int, tls: ssl.SSLContext | None, names: Names) -> Connect:
    name = host if tls is not None else None

    async def connect(factory: _Factory) -> object:
        places = await names.places(host, port)
        connected = await aiohappyeyeballs.start_connection(
            list(places), happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
        )
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return await asyncio.get_running_loop().create_connection(
                factory, sock=connected, ssl=tls, server_hostname=name
            )
        except BaseException:
            connected.close()
            raise

    return connect


def upstream_tls(upstream: Upstream) -> ssl.SSLContext | None:
    """Verify the upstream's certificate, always; show ours where one is configured.

    Raises BadCertificate.
    """
    if not any(target.tls for target in upstream.targets):
        return None
    key = f"upstreams.{upstream.name}"
    try:
        context = ssl.create_default_context(cafile=upstream.ca)
    except (OSError, ValueError) as error:
        raise bad(key, error, f"{upstream.ca}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if upstream.certificate is not None and upstream.key is not None:
        try:
            context.load_cert_chain(upstream.certificate, upstream.key, password=no_password)
        except (OSError, ValueError) as error:
            raise bad_pair(key, error, upstream.certificate, upstream.key) from error
    return context
