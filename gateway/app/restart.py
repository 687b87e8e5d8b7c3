"""Which changes no running process can follow: they refuse a reload as a whole.

Applying the rest would leave a state that no file describes, such as Secure cookies of a new https
address on a listener that still speaks http.
"""

from gateway.config.values import Config


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return one sentence for each setting that must stay as it is while the gateway runs."""
    return [
        f"{key}: {before} became {after}, which needs a restart"
        for key, before, after in (
            ("listen", str(old.listen), str(new.listen)),
            ("proxy_protocol", _flag(old.proxy_protocol), _flag(new.proxy_protocol)),
            ("tls", _switched(old), _switched(new)),
            ("workers", str(old.workers), str(new.workers)),
            ("sessions.store", old.sessions.store, new.sessions.store),
            ("operations", str(old.operations), str(new.operations)),
        )
        if before != after
    ]


def _switched(config: Config) -> str:
    return _flag(config.tls is not None)


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value that is written
    return "on" if value else "off"
