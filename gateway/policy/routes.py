"""Where a request goes: the first route whose host, path and method match, or none.

Invariant: only the canonical host, method and path decide, and a request that an upstream might
read as another path passes only where every reading takes the very same route (CVE-2026-33494 and
its kin matched one path and forwarded another). Paths match by case, and pass only where an app
that ignores case would find no route with another rule.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from gateway.policy.access import Access, AccessRule
from gateway.policy.ignored_case import Fold, by_outcome, folded
from gateway.recent import Recent

_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_METHOD = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]+")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_NOT_IN_A_PATH = re.compile(r"[\x00-\x1f\x7f\\?#]")


class BadRoute(ValueError):
    """A route that cannot mean what its author hoped; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Route:
    """Host, path and methods → upstream and access rule. None takes the gateway's default.

    `path` is exact (`/a` is only `/a`) or a prefix (`/a/*` is `/a/` and all below, not `/a`; `/*`
    is everything), spelled as the canonical path is: decoded, no dot segments. `host` is exact or
    `*.example.com`, which is any depth below but not `example.com` itself. `preflight` lets real
    CORS preflights through unauthenticated.
    """

    path: str
    upstream: str
    access: AccessRule = Access.SIGNED_IN
    host: str | None = None
    methods: frozenset[str] | None = None
    strip_prefix: str | None = None
    body_limit: int | None = None
    upstream_connect: float | None = None
    upstream_head: float | None = None
    body_timeout: float | None = None
    cross_site: bool | None = None
    preflight: bool = False

    def __post_init__(self) -> None:
        _check_path(self.path)
        if self.host is not None:
            object.__setattr__(self, "host", _canonical_host(self.host))
        if self.methods is not None:
            object.__setattr__(self, "methods", _canonical_methods(self.methods))
        if self.strip_prefix is not None:
            _check_strip_prefix(self.strip_prefix, self.path)

    def lets_past(self, other: "Route") -> bool:
        """Whether some request may pass here that *other* might have stopped.

        Access rules that are written differently are taken for rules of different people.
        """
        if other.access is Access.PUBLIC:
            return False
        unprotected = self.cross_site is not True and other.cross_site not in (
            False,
            self.cross_site,
        )
        if other.access is Access.OPTIONAL:
            # Nobody's cookies count where everything is public.
            return unprotected and self.access is not Access.PUBLIC
        return (
            self.access != other.access or unprotected or (self.preflight and not other.preflight)
        )


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The readings of one request take different routes; None among them is no route.

    `ignoring_case` says that they do so only for an app that ignores case.
    """

    routes: tuple[Route | None, ...]
    ignoring_case: bool = False


class Outcome(Enum):
    """What became of one route in `explain`."""

    TAKEN = "taken"
    PASSED = "passed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Step:
    number: int  # from 1, as in the file
    route: Route
    outcome: Outcome
    reason: str


class Routes:
    """The table, compiled. Matching is one dict look-up for what was asked before.

    The cache is keyed by every input of the decision and bounded in entries and bytes: two
    generations, the older dropped whole, so that a flood of made-up paths costs the paths in use
    one miss and no memory.
    """

    __slots__ = ("_compiled", "_ignoring_case", "_own", "_recent", "routes")

    def __init__(
        self, routes: Iterable[Route], cache_entries: int = 2048, *, own: Iterable[Route] = ()
    ) -> None:
        """Put the gateway's *own* routes first: behind them is no app that might ignore case."""
        self._own = tuple(own)
        configured = tuple(routes)
        self.routes = (*self._own, *configured)
        self._compiled = tuple(_Compiled.of(route) for route in self.routes)
        self._ignoring_case = tuple(_Table.all_of(configured))
        self._recent: Recent[_Question, _Answer] = Recent(cache_entries)

    def match(
        self, host: str, method: str, path: str, readings: tuple[str, ...] = ()
    ) -> Route | Ambiguous | None:
        """The route of a request with a canonical *host* and *path*; no match is no access."""
        try:
            return self._recent[host, method, path, readings]
        except KeyError:
            return self._match_and_keep(host, method, path, readings)

    def explain(self, host: str, method: str, path: str) -> Iterator[Step]:
        """Each route in order with the reason why it did or did not match."""
        taken = False
        for number, (route, compiled) in enumerate(
            zip(self.routes, self._compiled, strict=True), start=1
        ):
            if taken:
                yield Step(number, route, Outcome.NOT_REACHED, "an earlier route matched")
            elif reason := compiled.objection(host, method, path):
                yield Step(number, route, Outcome.PASSED, reason)
            else:
                taken = True
                yield Step(number, route, Outcome.TAKEN, "host, path and method match")

    def _match_and_keep(
        self, host: str, method: str, path: str, readings: tuple[str, ...]
    ) -> Route | Ambiguous | None:
        answer = self._match_readings(host, method, (path, *readings))
        if len(host) + len(method) + len(path) + sum(map(len, readings)) <= _KEPT_CHARACTERS:
            self._recent.keep((host, method, path, readings), answer)
        return answer

    def _match_readings(
        self, host: str, method: str, paths: tuple[str, ...]
    ) -> Route | Ambiguous | None:
        found = tuple(_first(self._compiled, host, method, path) for path in paths)
        route = found[0]
        if any(other is not route for other in found):
            return Ambiguous(found)
        if route is None or any(route is own for own in self._own):
            return route
        for path in paths:
            for table in self._ignoring_case:
                guarding = table.guarding(route, host, method, path)
                if guarding is not None:
                    return Ambiguous((route, guarding), ignoring_case=True)
        return route


_Question = tuple[str, str, str, tuple[str, ...]]
_Answer = Route | Ambiguous | None
_KEPT_CHARACTERS = 512  # longer questions are answered anew each time


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A route as plain comparisons; what a pattern does not ask for compares true."""

    route: Route
    path: str | None
    prefix: str
    host: str | None
    domain: str  # with its leading dot
    methods: frozenset[str] | None

    @classmethod
    def of(cls, route: Route, path: str | None = None) -> "_Compiled":
        """Compile *route*, as if *path* were its pattern if that is given."""
        path = route.path if path is None else path
        exact, prefix = (None, path[:-1]) if path.endswith("/*") else (path, "")
        host, domain = route.host, ""
        if route.host is not None and route.host.startswith("*."):
            host, domain = None, route.host[1:]
        methods = route.methods
        if methods is not None and "GET" in methods:
            methods |= {"HEAD"}  # RFC 9110 §9.3.2: HEAD is GET without the content
        return cls(route, exact, prefix, host, domain, methods)

    def objection(self, host: str, method: str, path: str) -> str:
        """Why this route is not for that request, or nothing."""
        if self.host is not None and self.host != host:
            return f"the host is {host}, not {self.host}"
        if not host.endswith(self.domain):
            return f"the host {host} is not below {self.domain[1:]}"
        if self.path is not None and self.path != path:
            return f"the path is {path}, not exactly {self.path}"
        if not path.startswith(self.prefix):
            return f"the path {path} is not below {self.prefix}"
        if self.methods is not None and method not in self.methods:
            return f"the method is {method}, not {' or '.join(sorted(self.methods))}"
        return ""


def _matching(compiled: Iterable[_Compiled], host: str, method: str, path: str) -> Iterator[Route]:
    for route in compiled:
        if (
            (route.path is None or route.path == path)
            and path.startswith(route.prefix)
            and (route.host is None or route.host == host)
            and host.endswith(route.domain)
            and (route.methods is None or method in route.methods)
        ):
            yield route.route


def _first(compiled: Iterable[_Compiled], host: str, method: str, path: str) -> Route | None:
    return next(_matching(compiled, host, method, path), None)


@dataclass(frozen=True, slots=True)
class _Table:
    """The routes as an app that ignores case would have them, in one or more ways of doing so."""

    compiled: tuple[_Compiled, ...]
    folds: tuple[Fold, ...]
    as_written: bool  # there is nothing to fold in any of the patterns

    @classmethod
    def all_of(cls, routes: tuple[Route, ...]) -> "Iterator[_Table]":
        patterns = tuple(route.path for route in routes)
        for outcome, folds in by_outcome(patterns).items():
            compiled = tuple(map(_Compiled.of, routes, outcome))
            yield cls(compiled, folds, as_written=outcome == patterns)

    def guarding(self, taken: Route, host: str, method: str, path: str) -> Route | None:
        """Return the route that *path* would take here, if one meets what *taken* lets past.

        Whoever writes a pattern in two ways says that these are two: of those that are *taken*'s
        but for case, none counts.
        """
        for reading in folded(path, self.folds):
            if self.as_written and reading == path:
                continue
            for other in _matching(self.compiled, host, method, reading):
                if other is taken:
                    break
                if self._written_alike(taken, other):
                    continue
                if taken.lets_past(other):
                    return other
                break
        return None

    def _written_alike(self, one: Route, other: Route) -> bool:
        fold = self.folds[0]  # the others make the same of each pattern
        return fold(one.path) == fold(other.path)


def _check_path(pattern: str) -> None:
    """Refuse a pattern that no canonical path could ever match: it would protect nothing."""
    path = pattern.removesuffix("*") if pattern.endswith("/*") else pattern
    if not path.startswith("/"):
        raise BadRoute(f"path {pattern!r}: a path begins with /")
    if "*" in path:
        raise BadRoute(f"path {pattern!r}: * stands only at the end, as in /a/*")
    if _NOT_IN_A_PATH.search(path):
        raise BadRoute(f"path {pattern!r}: no query, fragment, backslash or control character")
    if _ESCAPE.search(path):
        raise BadRoute(f"path {pattern!r}: write it decoded, as in /café rather than /caf%C3%A9")
    if "//" in path or not {".", ".."}.isdisjoint(path.split("/")):
        raise BadRoute(f"path {pattern!r}: no empty and no dot segments")


def _check_strip_prefix(prefix: str, path: str) -> None:
    _check_path(prefix)
    if prefix.endswith(("/", "/*")):
        raise BadRoute(f"strip_prefix {prefix!r}: without / at its end, as in /admin")
    if path != prefix and not path.startswith(prefix + "/"):
        raise BadRoute(f"strip_prefix {prefix!r}: the path {path!r} does not begin with it")


def _canonical_host(pattern: str) -> str:
    """*pattern* as `Request.host` spells it: lower-case, no port, no trailing dot."""
    host = (
        re.sub(r":[0-9]*$", "", pattern) if pattern.count(":") == 1 or "]" in pattern else pattern
    )
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host):
        raise BadRoute(
            f"host {pattern!r}: a name as browsers send it (xn--… for international ones), "
            "*.example.com, or an address such as [::1]"
        )
    return host


def _canonical_methods(methods: frozenset[str]) -> frozenset[str]:
    upper = frozenset(method.upper() for method in methods)
    if not upper:
        raise BadRoute("methods: name at least one, or leave it out for all")
    for method in upper:
        if not _METHOD.fullmatch(method):
            raise BadRoute(f"methods: {method!r} is not a method")
    return upper
