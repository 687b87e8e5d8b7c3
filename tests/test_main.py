"""The command line finds its commands, and loads none that was not called."""

import gc
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gateway import __version__
from gateway.__main__ import COMMANDS, gateway


def test_version_and_help() -> None:
    assert CliRunner().invoke(gateway, ["--version"]).stdout.strip().endswith(__version__)
    told = CliRunner().invoke(gateway, ["--help"]).stdout
    assert all(re.search(rf"^  {name} +[A-Z].+\.$", told, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(gateway, [name, "--help"])

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_an_unknown_command_is_bad_usage() -> None:
    assert CliRunner().invoke(gateway, ["chekc"]).exit_code == 2


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_needs_no_command_loads_none(option: str) -> None:
    code = (
        "import sys; from gateway.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'pydantic', 'yaml', 'aiohttp', 'sqlalchemy', "
        "'gateway.commands'} & set(sys.modules)))"
    )

    output = subprocess.run(
        [sys.executable, "-c", code, option], capture_output=True, text=True, check=True
    ).stdout

    assert output.splitlines()[-1] == "[]"


def test_the_collector_looks_again_once_a_command_is_loaded() -> None:
    assert CliRunner().invoke(gateway, ["schema", "--help"]).exit_code == 0

    assert gc.isenabled()
