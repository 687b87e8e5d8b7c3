"""`gateway demo`: the whole product in one command, without a file and without a server."""

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from aiohttp import web

from gateway.app.serving import exit_code_of, serve
from gateway.config.load import load
from gateway.config.problem import ConfigErrors
from gateway.config.values import Config
from gateway.demo.legacy_app import build
from gateway.identity.database import Database
from gateway.identity.passwords import Passwords
from gateway.identity.principal import Principal
from gateway.identity.users import User

USER = "alice"
PASSWORD = "wonderland-demo"  # noqa: S105 - printed for everybody to see
EMAIL = "alice@example.com"
_USUAL_PORT = 8080


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Where to listen, on this machine.  [default: 8080, or any other where that is taken]",
)
@click.option(
    "--access-lifetime",
    default="15m",
    show_default=True,
    help="How long an access token lives; 10s makes renewal visible.",
)
@click.option(
    "--transparent-refresh",
    type=click.Choice(["inline", "redirect", "off"]),
    default="inline",
    show_default=True,
    help="Who renews an expired access token.",
)
def demo(port: int | None, access_lifetime: str, transparent_refresh: str) -> None:
    """Show everything: a legacy app, the gateway in front of it, and a user to sign in as."""
    if port is None:
        port = _USUAL_PORT if _is_free(_USUAL_PORT) else _any_port()
    elif not _is_free(port):
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: it is taken")
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder, _app_socket() as app:
        config = _config(
            Path(folder), port, app.getsockname()[1], access_lifetime, transparent_refresh
        )
        asyncio.run(_add_user(config))
        _explain(config)
        sys.exit(exit_code_of(serve(config, beside=lambda: _serve_app(app))))


def _config(
    folder: Path, port: int, app_port: int, access_lifetime: str, transparent_refresh: str
) -> Config:
    try:
        return load(
            None,
            {},
            {
                "listen": f"127.0.0.1:{port}",
                "upstreams": {"ledger": f"http://127.0.0.1:{app_port}"},
                "routes": [
                    {"path": "/static/*", "upstream": "ledger", "access": "public"},
                    {"path": "/*", "upstream": "ledger"},
                ],
                "auth": {"registration": True, "transparent_refresh": transparent_refresh},
                "tokens": {"keys": str(folder / "keys"), "access_lifetime": access_lifetime},
                "sessions": {"store": f"sqlite:///{folder / 'gateway.db'}"},
                "login": [{"database": f"sqlite:///{folder / 'gateway.db'}"}],
                "log": {"format": "text", "level": "warning", "access": False},
            },
        )
    except ConfigErrors as errors:
        for problem in errors.problems:
            click.echo(str(problem), err=True)
        sys.exit(2)


async def _add_user(config: Config) -> None:
    database = Database(f"{config.sessions.store.reveal()}", now=time.time)
    passwords = Passwords()
    try:
        password_hash = await passwords.hash(PASSWORD)
        principal = Principal(USER, name="Alice Liddell", email=EMAIL, groups=("bookkeepers",))
        await database.add(User(principal, password_hash))
    finally:
        await database.close()
        passwords.close()


def _is_free(port: int) -> bool:
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as trying:
        trying.bind(("127.0.0.1", 0))
        return int(trying.getsockname()[1])


@contextmanager
def _app_socket() -> Iterator[socket.socket]:
    """Hold a free port for the app: known before anything starts, taken by nobody else."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        yield listening


async def _serve_app(listening: socket.socket) -> web.AppRunner:
    runner = web.AppRunner(build(), access_log=None, handle_signals=False)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner


def _explain(config: Config) -> None:
    lifetime = f"{config.tokens.access_lifetime:g} s"
    click.echo(
        f"""
  Auth Gateway demo

  open      {config.public_url}/
  sign in   {USER} / {PASSWORD}      (or register your own)

  Behind the gateway runs a small ledger that knows nothing of sign-in: it shows the
  headers that reach it. Access tokens live {lifetime} here and are renewed unseen;
  try: gateway demo --access-lifetime 10s

  Everything is kept in a temporary folder and gone afterwards. Ctrl+C stops it.
"""
    )
