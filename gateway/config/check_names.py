"""Do public URL, prefix, cookies and headers go together, as browsers and apps will read them?"""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config import resolve
from gateway.config.finding import Finding, Subject
from gateway.config.units import quoted
from gateway.config.values import Address, TcpAddress
from gateway.policy.routes import BadRoute, Route

# Headers with a meaning of their own; an identity in one of them would break or fool the app.
_TAKEN = frozenset(
    {
        "accept",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "origin",
        "proxy-authorization",
        "proxy-connection",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    }
)
_EVERY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


def public_names(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("public_url",), ("listen",), ("tls",), ("cookies",)):
        return
    file = subject.file
    if file.cookies.same_site == "None" and not resolve.is_secure(file):
        yield from subject.error(
            ("cookies", "same_site"),
            "browsers refuse SameSite=None without https; set public_url to https://… or use Lax",
        )
    if file.public_url is not None and file.tls and not resolve.is_secure(file):
        yield from subject.error(
            ("public_url",), "is http://… though tls serves https; write https://…"
        )
    if file.cookies.domain is not None:
        yield from _domain(subject, file.cookies.domain)


def proxies_in_front(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("proxy_protocol",), ("trusted_proxies",)):
        return
    if subject.file.proxy_protocol and not subject.file.trusted_proxies:
        yield from subject.error(
            ("proxy_protocol",),
            "needs trusted_proxies, the addresses that may say who connects: without any, every "
            "connection would be closed; add the proxy's, such as trusted_proxies: [10.0.0.5]",
        )


def own_port(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("listen",), ("operations",)):
        return
    listen, operations = subject.file.listen, subject.file.operations
    if operations is not None and _share(listen, operations):
        yield from subject.error(
            ("operations",), "listen has this port already; choose another, such as 127.0.0.1:9091"
        )


def _share(one: Address, other: Address) -> bool:
    if not isinstance(one, TcpAddress) or not isinstance(other, TcpAddress):
        return one == other
    hosts = {one.host, other.host}
    return one.port == other.port != 0 and (len(hosts) == 1 or not hosts.isdisjoint(_EVERY_HOST))


def _domain(subject: Subject, domain: str) -> Iterator[Finding]:
    path = ("cookies", "domain")
    host = urlsplit(resolve.public_url(subject.file)).hostname or ""
    bare = domain.removeprefix(".").lower()
    if bare.startswith("*."):
        yield from subject.error(path, f"write {bare[2:]}; a cookie's domain covers what is below")
    elif _is_address(bare) or "." not in bare:
        yield from subject.error(
            path,
            f"browsers refuse {quoted(domain)} as a cookie's domain; name one like example.com",
        )
    elif host != bare and not host.endswith("." + bare):
        yield from subject.error(
            path, f"does not cover the host of public_url, {quoted(host)}; browsers would drop it"
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def prefix(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("auth", "prefix")):
        return
    path, text = ("auth", "prefix"), subject.file.auth.prefix
    try:
        Route(path=text, upstream="")
    except BadRoute:
        usual = "must be a path such as /api/v1/auth"
        yield from subject.error(path, f"{usual}, not {quoted(text)}")
        return
    if not text.isascii() or any(char in " ;,%\"'<>" for char in text) or "*" in text:
        yield from subject.error(path, "must be of plain ASCII letters, digits, dashes and slashes")
    elif text == "/":
        yield from subject.error(path, "would take every path from the app; write /api/v1/auth")
    elif text.endswith("/"):
        yield from subject.error(path, f"without / at its end: {text.rstrip('/')}")


def cookie_names(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("cookies",), ("public_url",), ("tls",), ("auth",), ("listen",)):
        return
    section, ours = subject.file.cookies, resolve.cookies(subject.file)
    if section.access.lower() == section.refresh.lower():
        yield from subject.error(
            ("cookies", "refresh"), "both cookies have one name; the second would replace the first"
        )
    for key, path in (("access", "/"), ("refresh", ours.refresh_path)):
        name = getattr(section, key)
        if complaint := _prefix_complaint(name, section.prefix, path, secure=ours.secure):
            yield from subject.error(("cookies", key), complaint)
        elif name.lower().startswith("__host-") and section.domain is not None:
            yield from subject.error(
                ("cookies", key), "browsers refuse __Host- cookies with a domain; use __Secure-"
            )


def _prefix_complaint(name: str, prefix: str, path: str, *, secure: bool) -> str:
    """Say why browsers would drop a cookie of that name (RFC 6265bis §4.1.3)."""
    plain = name.lower()
    for begin in ("__host-http-", "__host-", "__http-", "__secure-"):
        if not plain.startswith(begin):
            continue
        if prefix == "auto":
            return f"write {name[len(begin) :]}; prefix: auto adds the strongest prefix that fits"
        if not secure:
            return f"browsers refuse {name[: len(begin)]} cookies without https in public_url"
        if begin.startswith("__host-") and path != "/":
            return f"browsers refuse __Host- cookies below {path} alone; use __Secure-"
    return ""


def header_names(subject: Subject) -> Iterator[Finding]:
    """Compare as CGI and WSGI do, where X-User and X_User are one header (SECURITY I1)."""
    if subject.unreadable(("headers",)):
        return
    names = resolve.identity_headers(subject.file.headers)
    seen: dict[str, str] = {}
    for key in ("user", "email", "name", "groups", "assertion"):
        name = getattr(names, key)
        if name is None:
            continue
        folded = name.lower().replace("_", "-")
        if folded in _TAKEN:
            yield from subject.error(
                ("headers", key),
                f"{name} has a meaning of its own; choose one such as X-{key.title()}",
            )
        elif folded in seen:
            yield from subject.error(
                ("headers", key), f"{name} is the header of {seen[folded]} already"
            )
        seen.setdefault(folded, key)
