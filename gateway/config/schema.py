"""The configuration file as JSON Schema (draft 2020-12), made from the models that check it."""

from typing import Any

from gateway.config.model import File

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    schema = File.model_json_schema(mode="validation")
    _simplify(schema)
    return {"$schema": DIALECT, **schema, "title": "auth gateway configuration"}


def _simplify(node: Any) -> None:
    """Drop generated titles; write defaults as the kind of value that YAML makes of them."""
    if isinstance(node, list):
        for item in node:
            _simplify(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if "default" in node:
        node["default"] = _typed(node["default"], node)
    # A section may be left empty, which counts as not written.
    for item in node.values():
        _simplify(item)


def _typed(default: Any, node: dict[str, Any]) -> Any:
    kinds = {node.get("type"), *(option.get("type") for option in node.get("anyOf", ()))}
    if default in ("true", "false") and "boolean" in kinds:
        return default == "true"
    if isinstance(default, str) and default.isdecimal() and "integer" in kinds:
        return int(default)
    return default
