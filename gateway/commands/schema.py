"""`gateway schema`: the JSON Schema of the configuration, for editors and other tools."""

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    from gateway.config.schema import json_schema  # noqa: PLC0415 - pydantic takes its time

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
