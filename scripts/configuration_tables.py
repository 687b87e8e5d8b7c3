"""Writes the tables of keys in docs/configuration.md from the models that check the file.

    python scripts/configuration_tables.py

What a table says is the description in `gateway/config/`; the prose around the tables is by hand.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.config import model, routing
from gateway.config.known_keys import IMPLIED

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "top level": model.File,
    "tls": model.TlsSection,
    "upstreams.NAME": routing.UpstreamSection,
    "upstreams.NAME.health": routing.HealthSection,
    "routes[]": routing.RouteSection,
    "routes[].access": routing.AllowSection,
    "routes[].limits": routing.RouteLimitsSection,
    "auth": model.AuthSection,
    "tokens": model.TokensSection,
    "tokens.accept[]": model.AcceptSection,
    "sessions": model.SessionsSection,
    "cookies": model.CookiesSection,
    "headers": model.HeadersSection,
    "login[]": model.LoginSection,
    "login[].upstream": model.UpstreamLoginSection,
    "limits": model.LimitsSection,
    "log": model.LogSection,
}
_TABLE = re.compile(r"<!-- keys of (?P<name>[^>]+?) -->\n.*?<!-- end -->", re.DOTALL)


def with_tables(page: str) -> str:
    """Return *page* with every table between its marks written anew."""
    return _TABLE.sub(lambda found: marked(found["name"]), page)


def marked(name: str) -> str:
    rows = "\n".join(table(SECTIONS[name]))
    return f"<!-- keys of {name} -->\n{rows}\n<!-- end -->"


def table(section: type[BaseModel]) -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for name, field in section.model_fields.items():
        if name not in IMPLIED:
            yield f"| `{name}` | {_default(field.default)} | {_cell(field.description or '')} |"


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "`null`"
    if value == {}:
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return re.sub(r"(\$\{[A-Z_]+\})", r"`\1`", text.replace("|", "\\|"))


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
