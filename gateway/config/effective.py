"""The configuration in effect, written as a file again, with secrets hidden."""

from collections.abc import Container
from dataclasses import fields, is_dataclass
from typing import Any

import yaml

from gateway.config import values
from gateway.config.secret import Secret
from gateway.policy.access import Access, AccessRule, Allow
from gateway.policy.routes import Route

_DURATIONS = {
    *("access_lifetime", "idle_lifetime", "absolute_lifetime", "grace", "delivery"),
    *("head_timeout", "body_timeout", "idle_timeout", "upstream_connect", "upstream_head"),
    *("drain_delay", "drain", "interval", "timeout"),
}
_SIZES = {"head", "body"}


def rendered(config: values.Config) -> str:
    """Return YAML that, but for hidden secrets, loads to the very same configuration."""
    return yaml.safe_dump(as_file(config), sort_keys=False, allow_unicode=True, width=100)


def as_file(config: values.Config) -> dict[str, Any]:
    ours = config.cookies
    return {
        "listen": str(config.listen),
        "tls": _section(config.tls) if config.tls else None,
        "public_url": config.public_url,
        "trusted_proxies": [str(network) for network in config.trusted_proxies],
        "proxy_protocol": config.proxy_protocol,
        "workers": config.workers,
        "upstreams": {name: _upstream(upstream) for name, upstream in config.upstreams.items()},
        "routes": [_route(route) for route in config.routes],
        "auth": _section(config.auth),
        "tokens": _tokens(config.tokens),
        "sessions": _section(config.sessions, leave_out={"store_kind"}),
        "cookies": {
            "access": ours.access_name,
            "refresh": ours.refresh_name,
            "same_site": ours.same_site,
            "domain": ours.domain,
            "prefix": "none",  # the names above have theirs
        },
        "headers": _section(config.headers),
        "login": [_login(login) for login in config.login],
        "operations": str(config.operations) if config.operations else None,
        "limits": _section(config.limits),
        "log": _section(config.log),
    }


def duration(seconds: float) -> str:
    """Write seconds in the largest unit that fits evenly."""
    milliseconds = round(seconds * 1000)
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def size(octets: int) -> str:
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if octets and octets % length == 0:
            return f"{octets // length}{unit}"
    return f"{octets}B"


def _section(section: Any, leave_out: Container[str] = ()) -> dict[str, Any]:
    return {
        field.name: _value(field.name, getattr(section, field.name))
        for field in fields(section)
        if field.name not in leave_out
    }


def _value(name: str, value: object) -> Any:
    match value:
        case Secret():
            return value.shown
        case float() if name in _DURATIONS:
            return duration(value)
        case int() if name in _SIZES:
            return size(value)
        case tuple():
            return [_value(name, item) for item in value]
        case _ if is_dataclass(value):
            return _section(value)
        case _:
            return value


def _upstream(upstream: values.Upstream) -> dict[str, Any]:
    return {
        **_section(upstream, leave_out={"name"}),
        "targets": [_target(target) for target in upstream.targets],
    }


def _target(target: values.Target) -> str:
    if isinstance(target.address, values.UnixAddress):
        return str(target.address)
    return f"{'https' if target.tls else 'http'}://{target.authority}"


def _route(route: Route) -> dict[str, Any]:
    cross_site = {None: None, True: "protect", False: "allow"}[route.cross_site]
    limits = {
        "body": None if route.body_limit is None else size(route.body_limit),
        "body_timeout": _optional(route.body_timeout),
        "upstream_connect": _optional(route.upstream_connect),
        "upstream_head": _optional(route.upstream_head),
    }
    return {
        "path": route.path,
        "upstream": route.upstream,
        "host": route.host,
        "methods": sorted(route.methods) if route.methods is not None else None,
        "access": _access(route.access),
        "strip_prefix": route.strip_prefix,
        "cross_site": cross_site,
        "preflight": route.preflight,
        "limits": limits,
    }


def _optional(seconds: float | None) -> str | None:
    return None if seconds is None else duration(seconds)


def _access(rule: AccessRule) -> Any:
    if isinstance(rule, Access):
        return rule.value
    return [_allow(allow) for allow in rule]


def _allow(allow: Allow) -> dict[str, Any]:
    named: dict[str, Any] = {
        "users": sorted(allow.users),
        "groups": sorted(allow.groups),
        "claims": {name: sorted(wanted) for name, wanted in allow.claims.items()},
    }
    return {kind: wanted for kind, wanted in named.items() if wanted}


def _tokens(tokens: values.Tokens) -> dict[str, Any]:
    keys: Any = tokens.key_folder or [{"secret": secret.shown} for secret in tokens.secrets]
    section = _section(tokens, leave_out={"key_folder", "secrets", "accept"})
    return {**section, "keys": keys, "accept": [_section(item) for item in tokens.accept]}


def _login(login: values.Login) -> dict[str, Any]:
    match login:
        case values.UsersFile(path):
            return {"users": path}
        case values.UsersDatabase(url):
            return {"database": url.shown}
        case values.Htpasswd(path):
            return {"htpasswd": path}
        case values.UpstreamLogin():
            return {"upstream": _section(login)}
