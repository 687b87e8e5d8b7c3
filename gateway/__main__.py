"""The command line: `gateway COMMAND`, the same as `python -m gateway COMMAND`.

A command is a file in `gateway/commands/` with a click command of the same name, imported only
when it is called, so that `gateway --version` and the health check start fast.
"""

import importlib

import click

from gateway import __version__

COMMANDS = (
    "run",
    "check",
    "explain",
    "demo",
    "users",
    "sessions",
    "keys",
    "schema",
    "healthcheck",
)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gateway.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def gateway() -> None:
    """Put sign-in, sessions and access rules in front of any web app."""


def main() -> None:
    """Run the command line; the console script `gateway` begins here."""
    gateway(prog_name="gateway")


if __name__ == "__main__":
    main()
