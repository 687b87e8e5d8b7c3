"""`gateway check`: everything that is wrong with the configuration, at once, before it matters."""

import os
import sys

import click

from gateway.app.named_files import unusable_files
from gateway.commands.options import BAD_CONFIG, config_option, found_config, loaded


@click.command()
@config_option
@click.option("--print", "show", is_flag=True, help="Print what is in effect, secrets hidden.")
def check(config_path: str | None, *, show: bool) -> None:
    """Check the configuration and say what is wrong, with its place and what would be right."""
    config = loaded(config_path)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    if problems := list(unusable_files(config)):
        for problem in problems:
            click.echo(problem, err=True)
        sys.exit(BAD_CONFIG)
    if not show:
        click.echo(f"{found_config(config_path, os.environ) or 'environment'}: ok")
        return
    from gateway.config.effective import rendered  # noqa: PLC0415 - only needed here

    click.echo(rendered(config), nl=False)
