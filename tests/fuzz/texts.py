"""The texts that decide: cookies, addresses, paths, where to return to."""

import re
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

from gateway.headers.cookies import our_cookies
from gateway.policy.access import Access
from gateway.policy.return_to import safe_return
from gateway.policy.routes import Ambiguous, Route, Routes
from gateway.request import (
    BadRequest,
    Target,
    parse_authority,
    parse_target,
    split_absolute_form,
    without_prefix,
)
from tests.fuzz.response_stream import written_by
from tests.fuzz.stage import Finding

_COOKIES = (our_cookies(secure=False), our_cookies(secure=True, says_session=True))
_PUBLIC = Route("/public/*", "app", Access.PUBLIC)
_ADMIN = Route("/public/admin/*", "app")
_ROUTES = Routes([_ADMIN, _PUBLIC, Route("/*", "app")], cache_entries=64)
_OURS = "https://gateway.example"


def cookie_header(data: bytes) -> None:
    """C2, I6: nothing of ours stays for the app, nothing that was not sent is found."""
    header = data.decode("latin-1")
    for cookies in _COOKIES:
        found = cookies.find(header)
        ours = {cookies.access_name, cookies.refresh_name, cookies.session_name} - {""}
        for value in (found.access, found.refresh):
            if value is not None and (not value or value not in header):
                raise Finding(f"found {value!r}, which nobody sent")
        for pair in found.others.split(";"):
            # As Django reads it: blanks of every kind around a name are nothing.
            name, equals, _ = pair.strip().lstrip("=").partition("=")
            if equals and name.strip() in ours:
                raise Finding(f"{pair!r} stays for the app")
        again = cookies.find(found.others)
        if (again.access, again.refresh, again.session) != (None, None, False):
            raise Finding("what stays for the app holds ours")
        if again.others != found.others:
            raise Finding("reading what stays gives something else")


def set_cookie(data: bytes) -> None:
    """I6: an app cannot write our cookies, in whatever spelling browsers forgive."""
    for cookies in _COOKIES:
        names = {cookies.access_name, cookies.refresh_name, cookies.session_name} - {""}
        if written_by(data) in {name.lower() for name in names} and not cookies.owns(data):
            raise Finding(f"{data!r} sets our cookie")


def request_target(data: bytes) -> None:
    """H4, H5, H6, P1: one path, and no reading of it that takes another route."""
    raw = data.decode("latin-1")
    split = split_absolute_form(raw)
    if split is not None:
        raw = split[1]
        _authority(split[0])
    try:
        target = parse_target(raw)
    except BadRequest:
        return
    if target.raw != raw or any(byte <= 0x20 or byte >= 0x7F for byte in raw.encode("latin-1")):
        raise Finding("the target is not what was sent, or holds what no URL may")
    path = raw.partition("?")[0]
    if unquote_to_bytes(path) not in (
        target.path.encode(),
        target.path.encode("latin-1", "replace"),
    ):
        raise Finding(f"the path {target.path!r} is not {path!r} decoded")
    _one_route(target, path)
    _below_prefix(target)


def _authority(raw: str) -> None:
    try:
        authority = parse_authority(raw)
    except BadRequest:
        return
    if not re.fullmatch(r"[a-z0-9_.\-]+|\[[0-9a-f:.]+\]", authority.host):
        raise Finding(f"the host is {authority.host!r}")
    if parse_authority(authority.text) != authority and not authority.host.endswith("."):
        raise Finding(f"{authority.text!r} is read as another host")


def host_header(data: bytes) -> None:
    """H4: a host or a refusal, and what goes on is read the same again."""
    _authority(data.decode("latin-1"))


def _one_route(target: Target, path: str) -> None:
    """Whatever a lax app makes of the path, an admin path is never served as a public one."""
    match = _ROUTES.match("a", "GET", target.path, target.readings)
    if match is None or isinstance(match, Ambiguous):
        return
    for reading in _lax_readings(path):
        taken = _ROUTES.match("a", "GET", reading)
        if match is _PUBLIC and taken is not _PUBLIC:
            raise Finding(f"public, but an app may read {reading!r}")


def _lax_readings(path: str) -> set[str]:
    """What apps are known to make of a path, each habit alone and after each other."""
    readings = {unquote(path, "latin-1")}
    for _ in range(3):
        for habit in (_decoded_again, _parameters_cut, _slashes_merged, _dots_resolved, str.lower):
            readings |= {habit(each) for each in readings}
    return {reading for reading in readings if reading.startswith("/")}


def _decoded_again(path: str) -> str:
    # Twice in all: nobody is known to do it a third time.
    return path if "%25" in path else unquote(path, "latin-1")


def _parameters_cut(path: str) -> str:
    return re.sub(r";[^/]*", "", path)


def _slashes_merged(path: str) -> str:
    return re.sub(r"/+", "/", path.replace("\\", "/"))


def _dots_resolved(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def _below_prefix(target: Target) -> None:
    if not target.path.startswith("/public/"):
        return
    below = without_prefix(target, "/public")
    if not below.startswith("/") or not re.fullmatch(r"[\x21-\x7e]+", below):
        raise Finding(f"below the prefix: {below!r}")
    if unquote_to_bytes(below.partition("?")[0]) not in (
        target.path[7:].encode(),
        target.path[7:].encode("latin-1", "replace"),
    ):
        raise Finding(f"{below!r} is not {target.path!r} without its prefix")


def return_to(data: bytes) -> None:
    """O5: the way back never leaves our origin, however a browser reads it."""
    for raw in (data.decode("latin-1"), data.decode("utf-8", "surrogateescape")):
        for public_url in ("", _OURS):
            result = safe_return(raw, public_url)
            if not re.fullmatch(r"/[\x21-\x7e]*", result) or re.search(r"[\\\"<>^`{|}]", result):
                raise Finding(f"{result!r} is not a path")
            _stays(result)
            if safe_return(result, public_url) != result:
                raise Finding(f"{result!r} is not taken back")


def _stays(result: str) -> None:
    path = result.partition("#")[0].partition("?")[0]
    for _ in range(3):
        read = re.sub(r"[\t\r\n]", "", path).replace("\\", "/").strip()
        if (
            read.startswith("//")
            or urlsplit(urljoin(_OURS + "/x", read)).netloc != urlsplit(_OURS).netloc
        ):
            raise Finding(f"{result!r} leads away as {read!r}")
        path = unquote(path, "latin-1")
