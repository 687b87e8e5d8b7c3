"""The request as every decision sees it: one canonical spelling of host and path.

What is matched, what is authorized and what is forwarded can never be three different paths: the
target goes on byte for byte, and a target that upstreams read in different ways is either refused
here or carries every other reading along, so that no rule is satisfied by one meaning alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote, unquote_to_bytes


class BadRequest(Exception):
    """The message is malformed or ambiguous. *status* is what the client is told."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """A request target. *path* is percent-decoded once; *raw* is what goes to the upstream."""

    raw: str
    path: str
    query: str | None
    readings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Authority:
    """Who is addressed: *host* lower-case, without trailing dot; *port* None when not named.

    *text* is both, as the Host header carries them, and *raw* the same as bytes.
    """

    host: str
    port: int | None
    text: str = field(init=False, repr=False, compare=False)
    raw: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = self.host if self.port is None else f"{self.host}:{self.port}"
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "raw", text.encode("ascii"))

    def __str__(self) -> str:
        return self.text


class Request:
    """One request, treated as immutable.

    *noted* holds, by lower-case name, the raw values that decisions may look at; *cookie* is the
    Cookie header as sent, empty when there is none. *client* is the address of the person's
    machine, past trusted proxies. *upgrade* says that the client asks for a WebSocket.
    """

    __slots__ = (
        *("authority", "client", "cookie", "method", "noted", "scheme", "target", "upgrade"),
        "_headers",
    )

    def __init__(
        self,
        method: str,
        scheme: str,
        authority: Authority,
        target: Target,
        noted: Mapping[str, bytes],
        cookie: bytes = b"",
        client: str = "",
        upgrade: bool = False,  # noqa: FBT001, FBT002 - mirrors the slots
    ) -> None:
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.target = target
        self.noted = noted
        self.cookie = cookie
        self.client = client
        self.upgrade = upgrade
        self._headers: Mapping[str, str] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The noted headers as text. Most requests are decided without looking at any."""
        if self._headers is None:
            self._headers = {name: value.decode("latin-1") for name, value in self.noted.items()}
        return self._headers

    def told_later(self) -> "Request":
        """Return what a record of this request tells, without its credentials and the rest."""
        noted = {name: self.noted[name] for name in _TOLD_LATER if name in self.noted}
        return Request(
            self.method,
            self.scheme,
            self.authority,
            self.target,
            noted,
            client=self.client,
            upgrade=self.upgrade,
        )


# What is told of a request when it is over.
_TOLD_LATER = ("user-agent",)
# Nothing to decode, no second meaning: the usual case is settled by one match.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9\-_.~!$&'()*+,=:@/]*")
# What gives a path several meanings, each of which has to be worked out: not for as long as anybody
# likes.
_SEVERAL_MEANINGS = re.compile(r"//|;|%(?:2[35Ff]|3[BbFf])")
_LONGEST_OF_SEVERAL = 2048
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NEVER_IN_TARGET = re.compile(r"[\x00-\x20\x7f-\uffff\\#]")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f\\]")
# Sequences that no UTF-8 encoder writes but lax decoders read as ASCII (RFC 3629 §10).
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|\xf8[\x80-\x87]|\xfc[\x80-\x83]"
)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]")
_PORT = re.compile(r"[0-9]{1,5}")
_MAX_PORT = 65535


def parse_target(raw: str) -> Target:
    """Read an origin-form target (RFC 9112 §3.2.1). Raises BadRequest."""
    raw_path, question_mark, query = raw.partition("?")
    if _NEVER_IN_TARGET.search(raw):
        raise BadRequest("the request target holds a byte that no URL may contain")
    if not raw_path.startswith("/"):
        raise BadRequest("the request target is not a path")
    kept_query = query if question_mark else None
    if _PLAIN_PATH.fullmatch(raw_path) and "//" not in raw_path and "/." not in raw_path:
        return Target(raw, raw_path, kept_query)
    if len(raw_path) > _LONGEST_OF_SEVERAL and _SEVERAL_MEANINGS.search(raw_path):
        raise BadRequest("a path that can be understood in several ways is too long", 414)
    path = _decode(raw_path)
    readings = _readings(raw_path, path)
    for reading in (path, *readings):
        if any(segment in (".", "..") for segment in reading.split("/")):
            raise BadRequest("the path holds a dot segment")
    return Target(raw, path, kept_query, readings)


def parse_authority(raw: str) -> Authority:
    """Read `host[:port]` as the Host header carries it (RFC 9110 §7.2). Raises BadRequest."""
    host, colon, port = raw.rpartition(":")
    if not colon or raw.endswith("]"):
        host, port = raw, ""
    elif port and not (_PORT.fullmatch(port) and int(port) <= _MAX_PORT):
        raise BadRequest("the Host header names no valid port")
    if not _HOST.fullmatch(host) or (host[0] == "[" and not _is_ipv6(host[1:-1])):
        raise BadRequest("the Host header is not a host name")
    return Authority(host.lower().removesuffix("."), int(port) if port else None)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def split_absolute_form(raw: str) -> tuple[str, str] | None:
    """Split `http://authority/path` into authority and origin form; None for any other form.

    RFC 9112 §3.2.2. The scheme is ignored: what the client claims about it proves nothing.
    """
    for scheme in ("http://", "https://"):
        if raw[: len(scheme)].lower() == scheme:
            authority, slash, rest = raw[len(scheme) :].partition("/")
            if not slash:
                authority, question_mark, rest = authority.partition("?")
                return authority, f"/{question_mark}{rest}"
            return authority, f"/{rest}"
    return None


def without_prefix(target: Target, prefix: str) -> str:
    """Return the raw target below *prefix*, for an app that lives at the root of its own world."""
    raw_path, question_mark, query = target.raw.partition("?")
    if raw_path == prefix or raw_path.startswith(prefix + "/"):
        rest = raw_path[len(prefix) :]
    else:
        # The prefix was spelled with escapes: what is below it is written anew.
        rest = quote(target.path[len(prefix) :], safe="/-_.~!$&'()*+,=:@;")
    return f"{rest or '/'}{question_mark}{query}"


def _decode(raw_path: str) -> str:
    if _BROKEN_ESCAPE.search(raw_path):
        raise BadRequest("the path holds a broken percent-escape")
    return _meant_by(unquote_to_bytes(raw_path))


def _meant_by(octets: bytes) -> str:
    if _CONTROL.search(octets):
        raise BadRequest("the path holds an encoded control byte or backslash")
    if _OVERLONG.search(octets):
        raise BadRequest("the path holds an overlong UTF-8 sequence")
    return _text(octets)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        # Older apps escape Latin-1.
        return octets.decode("latin-1")


def _readings(raw_path: str, path: str) -> tuple[str, ...]:
    """What else an upstream may understand by this path, apart from *path* itself.

    Some do not decode an encoded slash, some decode twice, some merge slashes, some cut path
    parameters (`;`) off each segment, some take what follows two slashes for a host (the URL parser
    of browsers and Node), some decode before they cut off the query, and any of them may do several
    of these.
    """
    readings = {path}
    if "%2f" in raw_path.lower():
        readings.add(_decode(re.sub("%2f", "%252F", raw_path, flags=re.IGNORECASE)))
    for again in _AGAIN:
        readings |= {again(reading) for reading in readings}
    return tuple(sorted(readings - {path}))


def _decode_again(path: str) -> str:
    """Decode as the laxest app would, which leaves a broken escape alone and decodes the others."""
    if "%" not in path:
        return path
    return _meant_by(unquote_to_bytes(quote(path, safe="/%;!$&'()*+,=:@")))


def _merge_slashes(path: str) -> str:
    return re.sub("//+", "/", path)


def _cut_parameters(path: str) -> str:
    return re.sub(";[^/]*", "", path)


def _cut_authority(path: str) -> str:
    """Not only at the beginning: what stands before it may be stripped."""
    return re.sub("//+[^/]*(?:/|$)", "/", path, count=1)


def _cut_query(path: str) -> str:
    return re.sub("[?#].*", "", path)


_AGAIN = (
    *(_decode_again, _merge_slashes, _cut_parameters, _cut_query, _cut_authority),
    _merge_slashes,
)
