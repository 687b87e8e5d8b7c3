"""The command line: `gateway COMMAND`, the same as `python -m gateway COMMAND`.

A command is a file in `gateway/commands/` with a click command of the same name, imported only
when it is called, so that `gateway --version`, `--help` and the health check start fast.
"""

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import click

from gateway import __version__

# With what `gateway --help` says of them: to read it from the commands would import them all.
COMMANDS = {
    "run": "Serve until SIGTERM or SIGINT.",
    "check": "Say what is wrong with the configuration, and where.",
    "explain": "Show which route a request takes and why.",
    "demo": "Show everything, without a file and without a server.",
    "users": "Manage users in a database; make password hashes.",
    "sessions": "List sessions, or end them.",
    "keys": "Make, show and rotate the keys of access tokens.",
    "schema": "Print the JSON Schema of the configuration file.",
    "healthcheck": "Ask the running gateway whether it lives.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        with _spared_collector():
            module = importlib.import_module(f"gateway.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@contextmanager
def _spared_collector() -> Iterator[None]:
    """Keep the cycle collector away from what is imported, now and later.

    Modules live as long as the process: looking through them again and again while more of them
    come is a sixth of the start (docs/performance.md).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def gateway() -> None:
    """Put sign-in, sessions and access rules in front of any web app."""


def main() -> None:
    """Run the command line; the console script `gateway` begins here."""
    gateway(prog_name="gateway")


if __name__ == "__main__":
    main()
