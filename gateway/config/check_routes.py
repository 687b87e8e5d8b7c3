"""Does every route lead somewhere, can it be reached, and is it the one its author means?"""

import difflib
import re
from collections.abc import Iterator

from gateway.config.document import Mapping
from gateway.config.finding import Finding, Subject
from gateway.config.units import quoted
from gateway.policy.access import Access
from gateway.policy.routes import Route

_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def upstream_names(subject: Subject) -> Iterator[Finding]:
    for name in _upstreams(subject):
        if not _UPSTREAM_NAME.fullmatch(name):
            yield from subject.error(
                ("upstreams", name),
                f"{quoted(name)} is no name for an upstream: letters, digits, dots and dashes",
            )


def route_table(subject: Subject) -> Iterator[Finding]:
    routes = [(at, section.value()) for at, section in subject.items("routes", subject.file.routes)]
    for at, route in routes:
        yield from _leads_somewhere(subject, at, route)
        yield from _clash(subject, at, route)
    if not subject.unreadable(("routes",)):
        for position, (at, route) in enumerate(routes):
            earlier = routes[:position]
            yield from _unreachable(subject, at, route, earlier)
            yield from _without_below(subject, at, route)
            yield from _without_itself(subject, at, route, routes)
        if not routes:
            yield from subject.warning(("routes",), "there are none: every request is answered 404")


def _upstreams(subject: Subject) -> list[str]:
    """Return the names as written, also of upstreams with a mistake in them."""
    entry = subject.root.entries.get("upstreams")
    written = entry.node if entry else None
    return list(written.entries) if isinstance(written, Mapping) else []


def _leads_somewhere(subject: Subject, at: int, route: Route) -> Iterator[Finding]:
    names = _upstreams(subject)
    if route.upstream in names or ("upstreams",) in subject.result.left_out:
        return
    near = difflib.get_close_matches(route.upstream, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names) or 'none'}"
    path = ("routes", at, "upstream")
    yield from subject.error(path, f"unknown upstream {quoted(route.upstream)}; {hint}")


def _clash(subject: Subject, at: int, route: Route) -> Iterator[Finding]:
    prefix = subject.file.auth.prefix
    if subject.unreadable(("auth", "prefix")):
        return
    bare = route.path.removesuffix("/*").rstrip("/")
    if bare == prefix or bare.startswith(prefix + "/"):
        yield from subject.error(
            ("routes", at, "path"),
            f"{prefix} is the gateway's own; move it with auth.prefix or choose another path",
        )


def _unreachable(
    subject: Subject, at: int, route: Route, earlier: list[tuple[int, Route]]
) -> Iterator[Finding]:
    for number, other in earlier:
        if covers(other, route):
            yield from subject.warning(
                ("routes", at, "path"),
                f"is never reached: routes[{number}] ({other.path}) takes the same requests first",
            )
            return


def covers(first: Route, second: Route) -> bool:
    """Whether every request that matches *second* matches *first*."""
    return (
        _path_covers(first.path, second.path)
        and _host_covers(first.host, second.host)
        and _methods_cover(first.methods, second.methods)
    )


def _path_covers(first: str, second: str) -> bool:
    if not first.endswith("/*"):
        return first == second
    return second.startswith(first[:-1])


def _host_covers(first: str | None, second: str | None) -> bool:
    if first is None or first == second:
        return True
    return second is not None and first.startswith("*.") and second.endswith(first[1:])


def _methods_cover(first: frozenset[str] | None, second: frozenset[str] | None) -> bool:
    if first is None:
        return True
    return second is not None and second <= _with_head(first)


def _with_head(methods: frozenset[str]) -> frozenset[str]:
    return methods | {"HEAD"} if "GET" in methods else methods


def _without_below(subject: Subject, at: int, route: Route) -> Iterator[Finding]:
    if route.path.endswith("/") and route.path != "/":
        yield from subject.warning(
            ("routes", at, "path"),
            f"matches {route.path} alone; write {route.path}* for everything below",
        )


def _without_itself(
    subject: Subject, at: int, route: Route, routes: list[tuple[int, Route]]
) -> Iterator[Finding]:
    """Warn when /admin/* is guarded and /admin itself falls to a route with another rule."""
    if not route.path.endswith("/*") or route.path == "/*" or isinstance(route.access, Access):
        return
    itself = Route(
        path=route.path.removesuffix("/*"), upstream="", host=route.host, methods=route.methods
    )
    taken = next(((number, other) for number, other in routes if covers(other, itself)), None)
    if taken is not None and taken[1].access != route.access:
        yield from subject.warning(
            ("routes", at, "path"),
            f"does not match {itself.path} itself, which routes[{taken[0]}] ({taken[1].path}) "
            f"takes with another access rule; add a route for {itself.path}",
        )
