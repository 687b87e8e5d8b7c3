"""Our cookies: found in what a browser sends, kept from the app, set and cleared alike.

The Cookie header is split on `;` only, as browsers write it (RFC 6265bis §5.8.3): no quoted
strings, no `$Version`, no unescaping, so no other reading can make a cookie of ours appear.
"""

from dataclasses import dataclass
from typing import Literal

SameSite = Literal["Lax", "Strict", "None"]

# Browsers refuse a cookie whose name and value exceed this (RFC 6265bis §5.6).
MAX_COOKIE_BYTES = 4096

# What Python, and so Django, strips around a name and a value.
_BLANKS = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0"
_LONG_AGO = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"


class CookieTooLarge(Exception):
    """A browser would silently drop this cookie, so it is never sent."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a Cookie header holds for us, and what of it the app may see.

    Two different values under one of our names prove nothing, since a neighbouring site can plant a
    second cookie: neither is used (SECURITY C2). *session* says that the browser claims to hold a
    refresh token that it does not show here.
    """

    access: str | None
    refresh: str | None
    others: str
    session: bool = False


NOTHING_FOUND = Found(access=None, refresh=None, others="")


@dataclass(frozen=True, slots=True)
class OurCookies:
    """Names and attributes of the access and the refresh cookie; build it with `our_cookies`.

    Where the refresh cookie does not come with every request, a third may say that there is one.
    It is no secret and proves nothing. *session_name* is empty where that is not needed.
    """

    access_name: str
    refresh_name: str
    secure: bool
    same_site: SameSite
    domain: str | None
    refresh_path: str
    session_name: str = ""

    def set_access(self, token: str, max_age: int) -> str:
        """Return a Set-Cookie value for the access token. *max_age* in seconds."""
        return self._set(self.access_name, token, "/", max_age)

    def set_refresh(self, token: str, max_age: int) -> str:
        """Return a Set-Cookie value for the refresh token. *max_age* in seconds."""
        return self._set(self.refresh_name, token, self.refresh_path, max_age)

    def set_session(self, max_age: int) -> tuple[str, ...]:
        """Return the Set-Cookie value that says that there is a session, where it is needed."""
        return (self._set(self.session_name, "1", "/", max_age),) if self.session_name else ()

    def clear(self) -> tuple[str, ...]:
        """Return the Set-Cookie values that remove all, attributes as set (SECURITY C3)."""
        return (
            f"{self.access_name}=; {_LONG_AGO}; {self._attributes('/', 0)}",
            f"{self.refresh_name}=; {_LONG_AGO}; {self._attributes(self.refresh_path, 0)}",
            *self.clear_session(),
        )

    def clear_session(self) -> tuple[str, ...]:
        """Return the Set-Cookie value that takes back the claim of a session alone."""
        if not self.session_name:
            return ()
        return (f"{self.session_name}=; {_LONG_AGO}; {self._attributes('/', 0)}",)

    def find(self, header: str) -> Found:
        """Read a Cookie header: our tokens, and the header without them."""
        access: set[str] = set()
        refresh: set[str] = set()
        others: list[str] = []
        session = False
        for pair in header.split(";"):
            name, separator, value = pair.strip(" \t").partition("=")
            name = name.rstrip(" \t")
            if separator and name == self.access_name:
                access.add(value.strip(" \t"))
            elif separator and name == self.refresh_name:
                refresh.add(value.strip(" \t"))
            elif separator and name and name == self.session_name:
                session = True
            elif pair.strip(" \t") and not self._reads_as_ours(pair):
                others.append(pair.strip(" \t"))
        # Where a second access cookie was planted, no renewal could ever help.
        session = session and len(access) <= 1
        return Found(_only(access), _only(refresh), "; ".join(others), session)

    def owns(self, set_cookie: bytes) -> bool:
        """Whether an app's Set-Cookie value would write one of our cookies (SECURITY I6).

        A nameless cookie `=accessToken=x` comes back from browsers as `accessToken=x`, and case is
        ignored, since not every parser down the line keeps it.
        """
        head = set_cookie.partition(b";")[0].lstrip(b" \t=")
        name = head.partition(b"=")[0].strip(b" \t").lower()
        return bool(name) and name in (each.lower().encode() for each in self._names())

    def _reads_as_ours(self, pair: str) -> bool:
        """Whether an app may take *pair* for one of ours: without a name, or behind odd blanks."""
        bare = pair.lstrip(_BLANKS)
        name, separator, _ = bare.lstrip("=" + _BLANKS).partition("=")
        name = name.rstrip(_BLANKS)
        return bool(name and (separator or bare[0] == "=")) and name in self._names()

    def _names(self) -> tuple[str, str, str]:
        return self.access_name, self.refresh_name, self.session_name

    def _set(self, name: str, value: str, path: str, max_age: int) -> str:
        if len(name) + len(value) > MAX_COOKIE_BYTES:
            raise CookieTooLarge(f"cookie {name} would have {len(name) + len(value)} bytes")
        return f"{name}={value}; {self._attributes(path, max_age)}"

    def _attributes(self, path: str, max_age: int) -> str:
        domain = f"; Domain={self.domain}" if self.domain else ""
        secure = "; Secure" if self.secure else ""
        return (
            f"Max-Age={max_age}; Path={path}{domain}{secure}; HttpOnly; SameSite={self.same_site}"
        )


def our_cookies(
    *,
    access: str = "accessToken",
    refresh: str = "refreshToken",
    secure: bool,
    same_site: SameSite = "Lax",
    domain: str | None = None,
    refresh_path: str = "/",
    prefixed: bool = True,
    says_session: bool = False,
) -> OurCookies:
    """Name the cookies with the strongest prefix that fits (RFC 6265bis §4.1.3).

    `__Host-` needs https, Path=/ and no Domain; `__Secure-` needs https alone. *says_session* asks
    for the third cookie; its name follows that of the refresh cookie.
    """

    def name(plain: str, path: str) -> str:
        if not (prefixed and secure):
            return plain
        return f"__Host-{plain}" if path == "/" and domain is None else f"__Secure-{plain}"

    refresh_name = name(refresh, refresh_path)
    return OurCookies(
        access_name=name(access, "/"),
        refresh_name=refresh_name,
        secure=secure,
        same_site=same_site,
        domain=domain,
        refresh_path=refresh_path,
        session_name=f"{refresh_name}Held" if says_session else "",
    )


def _only(values: set[str]) -> str | None:
    if len(values) != 1:
        return None
    return values.pop() or None
