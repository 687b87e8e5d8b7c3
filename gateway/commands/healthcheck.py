"""`gateway healthcheck`: asks the running gateway whether it lives; for containers."""

import http.client
import socket
import ssl
import sys

import click

from gateway.commands.options import config_option, loaded
from gateway.config.values import Address, Config, TcpAddress, UnixAddress
from gateway.proxy.proxy_header import LOCAL_HEADER

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where such a listener answers


_UNTRUSTED = (
    "proxy_protocol is on: set operations, or add the address that this asks from to "
    "trusted_proxies, such as 127.0.0.1"
)


class _LocalConnection(http.client.HTTPConnection):
    """HTTP over whatever `listen` names."""

    def __init__(
        self, address: Address, *, tls: bool, timeout: float, greeting: bytes = b""
    ) -> None:
        super().__init__("localhost", timeout=timeout)
        self._address = address
        self._greeting = greeting
        self._tls = tls

    def connect(self) -> None:
        self.sock = _connected(self._address, self.timeout or 1)
        self.sock.sendall(self._greeting)
        if self._tls:
            # Our own listener on this machine, asked for nothing secret: its certificate names the
            # public host, not this address.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)


def _connected(address: Address, timeout: float) -> socket.socket:
    match address:
        case TcpAddress(host, port):
            return socket.create_connection((_ANY.get(host, host), port), timeout)
        case UnixAddress(path):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            try:
                connection.connect(path)
            except OSError:
                connection.close()
                raise
            return connection


def ask(config: Config, timeout: float) -> int:
    """Return the status of the health endpoint. Raises OSError or HTTPException."""
    if config.operations is not None:
        connection = _LocalConnection(config.operations, tls=False, timeout=timeout)
        path, host = "/healthz", str(config.operations)
    else:
        connection = _LocalConnection(
            config.listen,
            tls=config.tls is not None,
            timeout=timeout,
            greeting=LOCAL_HEADER if config.proxy_protocol else b"",
        )
        path, host = f"{config.auth.prefix}/health", config.public_url.partition("://")[2]
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()


@click.command()
@config_option
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait.")
def healthcheck(config_path: str | None, timeout: float) -> None:
    """Ask the gateway that runs by this configuration whether it lives (exit code 0 or 1)."""
    config = loaded(config_path)
    try:
        status = ask(config, timeout)
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"unhealthy: {str(error) or type(error).__name__}", err=True)
        if config.proxy_protocol and config.operations is None:
            click.echo(_UNTRUSTED, err=True)
        sys.exit(1)
    if status != http.HTTPStatus.OK:
        click.echo(f"unhealthy: answered {status}", err=True)
        sys.exit(1)
    click.echo("healthy")
