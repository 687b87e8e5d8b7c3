"""`gateway run`: serves until it is told to stop."""

import sys

import click

from gateway.app.serving import exit_code_of, serve
from gateway.app.sockets import CannotListen
from gateway.commands.options import config_option, read, source_of
from gateway.workers.supervisor import Supervisor


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
    if config.workers == 1:
        sys.exit(exit_code_of(serve(config, source)))
    try:
        supervisor = Supervisor(config, source)
    except CannotListen as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    sys.exit(supervisor.run())
