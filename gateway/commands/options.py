"""The options that commands share, and how a bad configuration is told: exit code 2, on stderr."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.app.source import Source
from gateway.config.layers import variables
from gateway.config.problem import ConfigErrors
from gateway.config.values import Config

PLACES = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))
BAD_CONFIG = 2

config_option = click.option(
    "-c",
    "--config",
    "config_path",
    envvar="GATEWAY_CONFIG",
    metavar="FILE",
    help="The configuration [GATEWAY_CONFIG; else config.yaml, else /etc/gateway/config.yaml].",
)


def found_config(given: str | None, environ: Mapping[str, str]) -> str | None:
    """Return which file to read; None when the environment alone configures everything."""
    if given:
        return given
    for place in PLACES:
        if place.exists():
            return str(place)
    if variables(environ, ()):
        return None
    raise click.UsageError(
        "there is no configuration: name a file with -c or GATEWAY_CONFIG, "
        f"or write {' or '.join(str(place) for place in PLACES)}"
    )


def source_of(given: str | None) -> Source:
    """Return where the configuration is read from, now and at every reload."""
    return Source(found_config(given, os.environ), os.environ)


def loaded(given: str | None) -> Config:
    """Return the configuration, or tell every problem and leave with exit code 2."""
    return read(source_of(given))


def read(source: Source) -> Config:
    """Read *source*, or tell every problem and leave with exit code 2."""
    try:
        return source.read()
    except ConfigErrors as errors:
        for problem in errors.problems:
            click.echo(str(problem), err=True)
        sys.exit(BAD_CONFIG)
