"""`gateway run`: serves until it is told to stop."""

import sys

import click
import uvloop

from gateway.app.generation import BAD_FILES
from gateway.app.serving import Beside, serve
from gateway.app.sockets import CannotListen
from gateway.app.source import Source
from gateway.commands.options import BAD_CONFIG, config_option, read, source_of
from gateway.config.values import Config


@click.command()
@config_option
def run(config_path: str | None) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are then answered first.

    SIGHUP, or a change of the file, puts a new configuration in force without losing a request.
    """
    source = source_of(config_path)
    config = read(source)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    sys.exit(run_alone(config, source))


def run_alone(config: Config, source: Source | None = None, beside: Beside | None = None) -> int:
    """Run the gateway in this process, and *beside* it another server; return the exit code."""
    try:
        uvloop.run(serve(config, source, beside))
    except BAD_FILES as error:
        click.echo(str(error), err=True)
        return BAD_CONFIG
    except CannotListen as error:
        click.echo(str(error), err=True)
        return 1
    except OSError as error:
        click.echo(f"{error.filename or 'a file'}: {error.strerror or error}", err=True)
        return 1
    return 0
