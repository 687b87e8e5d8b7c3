"""Where sessions and users may be kept, as URLs; complaints never repeat one, for its password."""

import re
from typing import Annotated

from gateway.config import units
from gateway.config.fields import reads
from gateway.config.secret import Secret, secret_url

REDIS_SCHEMES = (
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


def _database(text: str) -> Secret:
    scheme, separator, rest = text.partition("://")
    if scheme not in {"sqlite", "postgresql"} or not separator:
        raise ValueError("must be sqlite:///… or postgresql://…")
    if not text.isprintable() or " " in text:
        raise ValueError("must not hold spaces or control characters")
    if scheme == "sqlite" and (not rest.startswith("/") or rest in {"/", "/:memory:"}):
        raise ValueError("needs the path of a file: sqlite:///data/gateway.db")
    if scheme == "postgresql":
        _checked_netloc(text)
    return secret_url(text)


def _store(text: str) -> Secret:
    scheme, _, rest = text.partition(":")
    if scheme == "memory":
        if rest.strip("/"):
            raise ValueError("memory: takes nothing after the colon")
        return Secret(text, "memory:")
    if scheme in {"sqlite", "postgresql"}:
        return _database(text)
    if scheme not in REDIS_SCHEMES:
        raise ValueError(
            "must be memory:, sqlite:///…, postgresql://…, redis://…, rediss://… "
            "or redis+sentinel://…"
        )
    if not text.isprintable() or " " in text:
        raise ValueError("must not hold spaces or control characters")
    _checked_netloc(text)
    return secret_url(text)


def _checked_netloc(text: str) -> None:
    """Sentinel and Cluster name several hosts, so that each is looked at on its own."""
    scheme, _, rest = text.partition("://")
    netloc = re.split("[/?]", rest, maxsplit=1)[0].rpartition("@")[2]
    if not netloc and scheme == "postgresql":
        return  # libpq's own default: the local socket
    for host in netloc.split(","):
        units.url(f"{scheme}://{host}", (scheme,))


StoreUrl = Annotated[Secret, *reads(_store, type="string")]
DatabaseUrl = Annotated[Secret, *reads(_database, type="string")]
