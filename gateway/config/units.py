"""How durations, sizes, addresses and URLs are written, and what they mean. Pure."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from gateway.config.values import Address, TcpAddress, UnixAddress

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15})\s?([A-Za-z]*)", re.ASCII)
DURATION_PATTERN = r"^([0-9]{1,12}(\.[0-9]{1,6})?(ms|s|m|h|d))+$"
SIZE_PATTERN = r"^[0-9]{1,15} ?(B|KiB|MiB|GiB|kB|KB|MB|GB)?$"
_LONGEST = 3650 * 86400.0
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*", re.ASCII)


def seconds(text: str) -> float:
    """Read a duration such as 90s, 15m, 1h30m or 500ms. Raises ValueError."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        if text.replace(".", "", 1).isdigit():
            raise ValueError(f"a duration needs a unit: write {text}s, {text}m, {text}h or {text}d")
        raise ValueError(
            f"must be a duration such as 500ms, 90s, 15m, 12h or 7d, not {quoted(text)}"
        )
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if total > _LONGEST:
        raise ValueError("must be at most 3650d")
    return total


def size(text: str) -> int:
    """Read a size such as 64KiB or 10MiB; a bare number counts bytes. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"must be a size such as 64KiB, 10MiB or 1GiB, not {quoted(text)}")
    number, unit = found.groups()
    if unit not in _BYTES:
        near = next((u for u in _BYTES if u and u[0].lower() == unit[0].lower()), "KiB")
        raise ValueError(f"unknown unit {quoted(unit)}: write {number}{near}")
    return int(number) * _BYTES[unit]


def address(text: str) -> Address:
    """Read host:port, [v6]:port or unix:/path. Raises ValueError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise ValueError("a unix socket needs an absolute path: unix:/run/gateway.sock")
        if len(path.encode()) > 107:  # noqa: PLR2004 - sun_path in unix(7)
            raise ValueError("the path of a unix socket may have at most 107 bytes")
        return UnixAddress(path)
    host, colon, port = text.rpartition(":")
    if not colon:
        example = f"127.0.0.1:{text}" if text.isdigit() else f"{text}:8080"
        raise ValueError(f"must be host:port, [v6]:port or unix:/path; did you mean {example}?")
    if not host:
        raise ValueError(f"the host is missing: write 127.0.0.1:{port} or 0.0.0.0:{port}")
    return TcpAddress(_listen_host(host), _port(port))


def _listen_host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1])
    if ":" in host:
        raise ValueError(f"an IPv6 address needs brackets: [{host}]:port")
    return host_name(host)


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(f"{quoted(text)} is not an IPv6 address") from None


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:  # noqa: PLR2004
        raise ValueError(f"the port must be a number from 0 to 65535, not {quoted(text)}")
    return int(text)


def host_name(text: str) -> str:
    """Return a host name or IPv4 address in lower case. Raises ValueError."""
    if re.fullmatch(r"[0-9.]+", text, re.ASCII):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(f"{quoted(text)} is not an IPv4 address") from None
    if len(text) > 253 or not _HOST_NAME.fullmatch(text):  # noqa: PLR2004 - RFC 1035
        raise ValueError(f"{quoted(text)} is not a host name (ASCII letters, digits, dots, dashes)")
    return text.lower().rstrip(".")


def url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """Split an absolute URL of one of *schemes*, its host and port checked. Raises ValueError."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    if not text.isascii() or any(char <= " " or char in '\\"<>^`{|}\x7f' for char in text):
        raise ValueError("must be a URL of visible ASCII characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a URL") from None
    if parts.scheme not in schemes or not host:
        example = f"; did you mean {schemes[0]}://{text}?" if "://" not in text else ""
        raise ValueError(f"must be a URL that begins with {wanted}{example}")
    if port == 0:
        raise ValueError("the port must be a number from 1 to 65535")
    if ":" in host:
        _ipv6(host)
    else:
        host_name(host)
    return parts


def origin(text: str) -> str:
    """Return scheme://host[:port] of a web address that has nothing more. Raises ValueError."""
    parts = url(text, ("http", "https"))
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if parts.path not in ("", "/") or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"must be scheme://host[:port] alone: {parts.scheme}://{parts.netloc}")
    return rendered_origin(parts.scheme, parts.hostname or "", parts.port)


def rendered_origin(scheme: str, host: str, port: int | None) -> str:
    """Write an origin as browsers do: lower case, without the scheme's own port (RFC 6454)."""
    shown = f"[{_ipv6(host)}]" if ":" in host else host_name(host)
    usual = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" if port in (None, usual) else f"{scheme}://{shown}:{port}"


def quoted(text: str, longest: int = 60) -> str:
    """Show foreign text in a message: quoted, escaped and cut."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return (
        '"' + "".join(c if c.isprintable() and c not in '"\\' else _escaped(c) for c in cut) + '"'
    )


def _escaped(char: str) -> str:
    return "\\" + char if char in '"\\' else char.encode("unicode_escape").decode()
