"""`gateway run`: serves until it is told to stop."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable

import click
import uvloop
from aiohttp import web

from gateway.app.gateway import Gateway
from gateway.commands.options import config_option, loaded
from gateway.config.values import Config
from gateway.identity.watched_file import BadFile
from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.key_folder import KeyFolderError

_ALLOCATIONS_BETWEEN_COLLECTIONS = 10_000


@click.command()
@config_option
def run(config_path: str | None) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are then answered first."""
    config = loaded(config_path)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    sys.exit(serve(config))


def serve(config: Config, beside: Callable[[], Awaitable[web.AppRunner]] | None = None) -> int:
    """Run the gateway, and *beside* it another server, and return the exit code."""
    try:
        uvloop.run(_serve(config, beside))
    except (KeyFolderError, UnfitKey, BadFile) as error:
        click.echo(str(error), err=True)
        return 2
    except OSError as error:
        click.echo(f"cannot listen on {config.listen}: {error.strerror or error}", err=True)
        return 1
    return 0


async def _serve(config: Config, beside: Callable[[], Awaitable[web.AppRunner]] | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    gateway = Gateway(config)
    runner = None if beside is None else await beside()
    try:
        await gateway.start()
        _spare_the_collector()
        await stopping.wait()
    finally:
        await gateway.stop()
        if runner is not None:
            await runner.cleanup()


def _spare_the_collector() -> None:
    """Keep what is built once out of the cycle collector, and let it look less often.

    A request leaves no cycle behind, yet allocates enough to set the collector off, and it would
    walk through all modules each time: a third of a request's time (docs/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 10, 10)
