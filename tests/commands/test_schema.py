"""`gateway schema` prints a JSON Schema that agrees with what the gateway accepts."""

import json
from pathlib import Path

import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from gateway.commands.schema import schema
from tests.config.test_example import EXAMPLE, with_examples
from tests.config.written import SMALLEST


def validator() -> Draft202012Validator:
    printed = json.loads(CliRunner().invoke(schema).stdout)
    Draft202012Validator.check_schema(printed)
    return Draft202012Validator(printed)


def test_it_accepts_the_example_with_and_without_its_examples() -> None:
    text = EXAMPLE.read_text()

    for document in (text, with_examples(text), SMALLEST):
        assert list(validator().iter_errors(yaml.safe_load(document))) == []


def test_it_refuses_what_the_gateway_refuses() -> None:
    wrong = {
        "listne": "127.0.0.1:8080",
        "tokens": {"access_lifetime": "15"},
        "routes": [{"path": "x"}],
        "workers": 0,
        "log": {"format": "xml"},
    }

    found = {".".join(map(str, error.absolute_path)) for error in validator().iter_errors(wrong)}

    assert found >= {"", "tokens.access_lifetime", "routes.0", "workers", "log.format"}


def test_every_key_has_a_description() -> None:
    printed = json.loads(CliRunner().invoke(schema).stdout)
    sections = [printed, *printed["$defs"].values()]

    for section in sections:
        for key, about in section["properties"].items():
            assert about.get("description"), key


def test_defaults_are_written_as_in_the_file() -> None:
    printed = json.loads(CliRunner().invoke(schema).stdout)
    example = yaml.safe_load(Path(EXAMPLE).read_text())

    for name in ("auth", "tokens", "sessions", "cookies", "headers", "limits", "log"):
        properties = printed["$defs"][f"{name.title()}Section"]["properties"]
        assert {key: about["default"] for key, about in properties.items()} == example[name]
