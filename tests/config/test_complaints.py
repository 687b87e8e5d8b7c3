"""Every mistake is told at its exact place, with its key and what would be right."""

# ruff: noqa: E501 - a table reads best with one mistake in a line

from pathlib import Path

import pytest

from tests.config.written import SMALLEST, complaints

# What stands after SMALLEST's seven lines, and what is said about it.
MISTAKES = [
    ("listn: x\n", "8:1: listn: unknown key; did you mean listen?"),
    ("store: x\n", "8:1: store: unknown key here; store belongs to sessions"),
    ("xyzzy: x\n", "8:1: xyzzy: unknown key; known here: listen, tls, public_url,"),
    ("tokens:\n  idle_lifetime: 1d\n", "9:3: tokens.idle_lifetime: unknown key here; idle_lifetime belongs to sessions"),
    ("tokens:\n  acess_lifetime: 1d\n", "9:3: tokens.acess_lifetime: unknown key; did you mean access_lifetime?"),
    ("auth: {samesite: Lax}\n", "8:8: auth.samesite: unknown key; did you mean same_site of cookies?"),
    ("tokens: 5\n", "8:9: tokens: must be a mapping (key: value)"),
    ("tokens: [a]\n", "8:1: tokens: must be a mapping (key: value)"),
    ("trusted_proxies: {a: b}\n", "8:1: trusted_proxies: must be a list"),
    ("trusted_proxies: [10.0.0.1/8]\n", '8:19: trusted_proxies[0]: "10.0.0.1/8" has bits set beyond its prefix; did you mean 10.0.0.0/8?'),
    ("trusted_proxies: proxy.example\n", '8:18: trusted_proxies: "proxy.example" is not an address or network such as 10.0.0.0/8'),
    ("listen: {a: b}\n", "8:1: listen: must be a single value"),
    ("workers: 0\n", "8:10: workers: must be auto or a number from 1 to 256"),
    ("auth: {registration: maybe}\n", '8:22: auth.registration: must be true or false, not "maybe"'),
    ("auth: {transparent_refresh: inlin}\n", '8:29: auth.transparent_refresh: must be inline, redirect or off, not "inlin"; did you mean inline?'),
    ("cookies: {same_site: lax}\n", '8:22: cookies.same_site: must be Lax, Strict or None, not "lax"; did you mean Lax?'),
    ("cookies: {access: 'a b'}\n", '8:19: cookies.access: "a b" is not a cookie name'),
    ("headers: {user: 'X User'}\n", '8:17: headers.user: "X User" is not a header name'),
    ("headers: remot\n", '8:10: headers: must be forwarded, remote or auth-request, not "remot"; did you mean remote?'),
    ("limits: {headers: many}\n", '8:19: limits.headers: must be a whole number, not "many"'),
    ("limits: {connections: 0}\n", "8:23: limits.connections: must be at least 1"),
    ("limits: {idle_timeout: 0s}\n", "8:24: limits.idle_timeout: must be longer than 0s"),
    ("tls: {certificate: users.yaml}\n", "8:1: tls.key: is required"),
    ("tokens: {keys: {a: b}}\n", "8:17: tokens.keys.a: unknown key; known here: secret"),
    ("tokens: {keys: []}\n", "8:10: tokens.keys: must not be empty"),
    ("tokens: {keys: [{secrt: x}]}\n", "8:18: tokens.keys[0].secrt: unknown key; did you mean secret?"),
    ("tokens: {accept: [{issuer: i, jwks: users.yaml}]}\n", "8:19: tokens.accept[0].audience: is required"),
    ("sessions: {store: mysql://u:pw@h/d}\n", "8:19: sessions.store: must be memory:, sqlite:///"),
    ("sessions: {store: redis}\n", "8:19: sessions.store: must be a URL that begins with redis://"),
    ("sessions: {store: 'sqlite:///:memory:'}\n", "8:19: sessions.store: needs the path of a file"),
    ("operations: '9091'\n", "8:13: operations: must be host:port, [v6]:port or unix:/path; did you mean 127.0.0.1:9091?"),
    ("public_url: app.example.com\n", "8:13: public_url: must be a URL that begins with http:// or https://; did you mean http://app.example.com?"),
    ("listen: a:1\nlisten: b:1\n", "9:1: listen: the key was given before, in line 8; keep one of them"),
    ("log: {format: !env X}\n", "8:15: unknown tag !env"),
    ("tokens: {audience: ${NO_SUCH}}\n", "8:20: tokens.audience: the environment variable NO_SUCH is not set"),
    ("tokens: {audience: '${a b}'}\n", '8:20: tokens.audience: "${a b}": write ${NAME} or ${NAME:-default}'),
    ("tokens: {audience: !file none.txt}\n", "8:20: tokens.audience: cannot read"),
    ("tokens: {audience: ''}\n", "8:20: tokens.audience: must not be empty"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    told = complaints(tmp_path, SMALLEST + text)

    assert len(told) == 1, told
    assert told[0].startswith(f"config.yaml:{message}"), told[0]


# Routes, upstreams and login, each as the whole of its section.
SECTIONS = [
    ("  - {path: /*}\n", "5:5: routes[0].upstream: is required"),
    ("  - {upstream: app}\n", "5:5: routes[0].path: is required"),
    ("  - {path: , upstream: app}\n", "5:11: routes[0].path: is required"),
    ("  - /*\n", "5:5: routes[0]: must be a mapping (key: value)"),
    ("  - {path: a, upstream: app}\n", "5:12: routes[0].path: path 'a': a path begins with /"),
    ("  - {path: '*', upstream: app}\n", "5:12: routes[0].path: write /* for every path"),
    ("  - {path: /a*, upstream: app}\n", "5:12: routes[0].path: * stands only after /: did you mean /a/*?"),
    ("  - {path: /a/../b, upstream: app}\n", "5:12: routes[0].path: path '/a/../b': no empty and no dot segments"),
    ("  - {path: /%61, upstream: app}\n", "5:12: routes[0].path: path '/%61': write it decoded"),
    ("  - {path: /*, upstream: app, access: [{}]}\n", "5:40: routes[0].access[0]: names nobody"),
    ("  - {path: /*, upstream: app, access: {groups: []}}\n", "5:40: routes[0].access.groups: must not be empty"),
    ("  - {path: /*, upstream: app, access: {users: {a: b}}}\n", "5:40: routes[0].access.users: must be a list"),
    ("  - {path: /*, upstream: app, access: {role: a}}\n", "5:40: routes[0].access.role: unknown key; known here: users, groups, claims"),
    ("  - {path: /*, upstream: app, access: {user: a}}\n", "5:40: routes[0].access.user: unknown key; did you mean users?"),
    ("  - {path: /*, upstream: app, access: signed_in}\n", '5:39: routes[0].access: must be public, optional or signed-in, not "signed_in"; did you mean signed-in?'),
    ("  - {path: /*, upstream: app, methods: []}\n", "5:31: routes[0].methods: must not be empty"),
    ("  - {path: /*, upstream: app, methods: ['G T']}\n", "5:5: routes[0]: methods: 'G T' is not a method"),
    ("  - {path: /*, upstream: app, host: 'a b'}\n", "5:37: routes[0].host: host 'a b': a name"),
    ("  - {path: /a/*, upstream: app, strip_prefix: /b}\n", "5:5: routes[0]: strip_prefix '/b': the path '/a/*' does not begin with it"),
    ("  - {path: /*, upstream: app, limits: {head: 1}}\n", "5:40: routes[0].limits.head: unknown key"),
    ("  - {path: /*, upstream: app, limits: {body: 1M}}\n", '5:46: routes[0].limits.body: unknown unit "M": write 1MiB'),
    ("  - {path: /*, upstream: app, preflight: 2}\n", '5:42: routes[0].preflight: must be true or false, not "2"'),
]  # fmt: skip


@pytest.mark.parametrize(("route", "message"), SECTIONS)
def test_a_mistake_in_a_route_is_told_at_its_place(
    tmp_path: Path, route: str, message: str
) -> None:
    head = "login: [{users: users.yaml}]\nupstreams:\n  app: http://127.0.0.1:3000\nroutes:\n"

    told = complaints(tmp_path, head + route)

    assert len(told) == 1, told
    assert told[0].startswith(f"config.yaml:{message}"), told[0]


UPSTREAMS = [
    ("ftp://a", "4:8: upstreams.app: must be a URL that begins with http:// or https://"),
    ("127.0.0.1:3000", "4:8: upstreams.app: must be a URL that begins with http:// or https://; did you mean http://127.0.0.1:3000?"),
    ("http://a/base", "4:8: upstreams.app: an upstream is scheme://host:port alone"),
    ("http://u:p@a", "4:8: upstreams.app: a user name or password"),
    ("unix:a", "4:8: upstreams.app: a unix socket needs an absolute path"),
    ("[]", "4:3: upstreams.app: must not be empty"),
    ("", "4:7: upstreams.app: needs an address such as http://127.0.0.1:3000"),
    ("{health: {path: /}}", "4:3: upstreams.app.targets: is required"),
    ("{targets: [http://a, b]}", "4:29: upstreams.app.targets[1]: must be a URL"),
    ("{targets: http://a, health: {interval: 5}}", "4:47: upstreams.app.health.interval: a duration needs a unit"),
    ("{targets: http://a, health: {path: x}}", "4:28: upstreams.app.health: path must begin with /"),
    ("{targets: http://a, ca: users.yaml}", "4:3: upstreams.app: ca, certificate and key only make sense with https:// targets"),
    ("{targets: https://a, key: users.yaml}", "4:3: upstreams.app: certificate and key are needed together"),
    ("[http://a:80, http://a]", "4:3: upstreams.app: a:80 is there twice"),
    ("[unix:/a, unix:/a]", "4:3: upstreams.app: unix:/a is there twice"),
    ("{target: http://a}", "4:9: upstreams.app.target: unknown key; did you mean targets?"),
]  # fmt: skip


@pytest.mark.parametrize(("upstream", "message"), UPSTREAMS)
def test_a_mistake_in_an_upstream_is_told_once_and_not_blamed_on_its_routes(
    tmp_path: Path, upstream: str, message: str
) -> None:
    head = "login: [{users: users.yaml}]\nroutes: [{path: /*, upstream: app}]\nupstreams:\n"

    told = complaints(tmp_path, f"{head}  app: {upstream}\n")

    assert told, upstream
    assert told[0].startswith(f"config.yaml:{message}"), told[0]
    assert not any("unknown upstream" in line for line in told)


LOGINS = [
    ("{}", "3:9: login[0]: each item names exactly one of users, database, htpasswd, ldap, oidc, upstream; this one has none"),
    ("{users: users.yaml, htpasswd: users.yaml}", "3:9: login[0]: each item names exactly one of users, database, htpasswd, ldap, oidc, upstream; this one has users and htpasswd"),
    ("{user: users.yaml}", "3:10: login[0].user: unknown key; did you mean users?"),
    ("{users: none.yaml}", '3:17: login[0].users: there is no file "'),
    ("{database: 'redis://x'}", "3:20: login[0].database: must be sqlite:///"),
    ("{ldap: {url: 'ldaps://x'}}", "3:10: login[0].ldap: sign-in by LDAP is not supported yet"),
    ("{oidc: {name: google}}", "3:10: login[0].oidc: sign-in by OpenID Connect is not supported yet"),
    ("{upstream: {url: a}}", "3:26: login[0].upstream.url: must be a URL that begins with http://"),
]  # fmt: skip


@pytest.mark.parametrize(("login", "message"), LOGINS)
def test_a_mistake_in_a_login_provider_is_told_once(
    tmp_path: Path, login: str, message: str
) -> None:
    head = "upstreams: {app: 'http://a'}\nroutes: [{path: /*, upstream: app}]\n"

    told = complaints(tmp_path, f"{head}login: [{login}]\n")

    assert len(told) == 1, told
    assert told[0].startswith(f"config.yaml:{message}"), told[0]


def test_items_keep_their_numbers_when_one_before_them_is_wrong(tmp_path: Path) -> None:
    text = """\
upstreams: {app: 'http://a'}
login: [{users: users.yaml}]
routes:
  - {path: x, upstream: app}
  - {path: /a, upstream: ap}
  - {path: /b, upstream: app, access: {}}
  - {path: /api/v1/auth/x, upstream: app}
"""

    told = complaints(tmp_path, text)

    assert [line.split(": ")[1] for line in told] == [
        "routes[0].path",
        "routes[1].upstream",
        "routes[2].access",
        "routes[3].path",
    ]


def test_a_secret_is_never_repeated_in_a_complaint(tmp_path: Path) -> None:
    text = """\
tokens: {algorithm: HS256, keys: [{secret: hunter2hunter2}]}
sessions: {store: 'postgresql://gw:hunter2@/db?x y'}
login: [{database: 'mysql://gw:hunter2@db/x'}]
"""

    told = complaints(tmp_path, text)

    assert len(told) == 3
    assert "hunter2" not in "".join(told)
