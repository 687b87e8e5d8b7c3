"""Defaults that depend on other keys, and the values that the app receives."""

from pathlib import Path

import pytest

from gateway.config import values
from gateway.policy.access import Access, Allow
from tests.config.written import SMALLEST, loaded


@pytest.mark.parametrize(
    ("text", "public_url", "origins"),
    [
        ("", "http://localhost:8080", {"localhost:8080", "127.0.0.1:8080", "[::1]:8080"}),
        ("listen: 0.0.0.0:80", "http://localhost", {"localhost", "127.0.0.1", "[::1]"}),
        ("listen: '[::]:9'", "http://localhost:9", {"localhost:9", "127.0.0.1:9", "[::1]:9"}),
        ("listen: 192.0.2.1:9", "http://192.0.2.1:9", {"192.0.2.1:9"}),
        ("listen: unix:/run/g", "http://localhost", {"localhost"}),
        ("public_url: http://A.example:80/", "http://a.example", {"a.example"}),
    ],
)
def test_the_public_url_follows_from_listen(
    tmp_path: Path, text: str, public_url: str, origins: set[str]
) -> None:
    config = loaded(tmp_path, f"{SMALLEST}{text}\n")

    assert config.public_url == public_url
    assert config.own_origins == {f"http://{origin}" for origin in origins}
    assert config.tokens.issuer == public_url


def test_tls_makes_the_public_url_https(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST + "tls: {certificate: users.yaml, key: users.yaml}\n")

    assert config.public_url == "https://localhost:8080"
    assert config.cookies.secure
    assert config.tls == values.Tls(str(tmp_path / "users.yaml"), str(tmp_path / "users.yaml"))


def test_routes_become_the_routes_of_policy(tmp_path: Path) -> None:
    text = SMALLEST.replace(
        "    upstream: app\n",
        """\
    upstream: app
    host: Example.COM
    methods: get
    access: [{users: [Alice], groups: a}, {claims: {level: 3}}]
    cross_site: allow
    preflight: true
    limits: {body: 1KiB, body_timeout: 1s, upstream_connect: 2s, upstream_head: 3s}
""",
    )

    (route,) = loaded(tmp_path, text).routes

    assert (route.host, route.methods) == ("example.com", {"GET"})
    assert route.access == (
        Allow(users=frozenset({"alice"}), groups=frozenset({"a"})),
        Allow(claims={"level": frozenset({"3"})}),
    )
    assert (route.cross_site, route.preflight) == (False, True)
    assert (route.body_limit, route.body_timeout) == (1024, 1)
    assert (route.upstream_connect, route.upstream_head) == (2, 3)


@pytest.mark.parametrize("level", list(Access))
def test_every_access_level_has_its_word(tmp_path: Path, level: Access) -> None:
    text = SMALLEST.replace("upstream: app", f"upstream: app\n    access: {level.value}")

    assert loaded(tmp_path, text).routes[0].access is level


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://a", values.Target(values.TcpAddress("a", 80), tls=False, authority="a")),
        ("https://A:444", values.Target(values.TcpAddress("a", 444), tls=True, authority="a:444")),
        (
            "http://[::1]:3",
            values.Target(values.TcpAddress("::1", 3), tls=False, authority="[::1]:3"),
        ),
        ("unix:/a", values.Target(values.UnixAddress("/a"), tls=False, authority="localhost")),
    ],
)
def test_a_target_is_an_address_and_what_host_says(
    tmp_path: Path, text: str, target: values.Target
) -> None:
    config = loaded(tmp_path, SMALLEST.replace("http://127.0.0.1:3000", f"'{text}'"))

    assert config.upstreams["app"].targets == (target,)


def test_headers_take_a_preset_and_renames(tmp_path: Path) -> None:
    remote = loaded(tmp_path, SMALLEST + "headers: remote\n").headers
    changed = loaded(tmp_path, SMALLEST + "headers: {preset: remote, user: X-U, email: null}\n")
    request = loaded(
        tmp_path, SMALLEST + "headers: {preset: auth-request, assertion: X-A}\n"
    ).headers

    assert remote.user == "Remote-User"
    assert (changed.headers.user, changed.headers.email) == ("X-U", None)
    assert changed.headers.groups == "Remote-Groups"
    assert (request.user, request.assertion) == ("X-Auth-Request-User", "X-A")


def test_an_ipv4_network_written_as_ipv6_means_the_ipv4_one(tmp_path: Path) -> None:
    """SECURITY I4."""
    config = loaded(tmp_path, SMALLEST + "trusted_proxies: ['::ffff:10.0.0.0/104', fd00::/8]\n")

    assert [str(network) for network in config.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]


def test_written_files_are_beside_the_configuration_and_made_ones_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    config = loaded(tmp_path, SMALLEST)

    assert config.login == (values.UsersFile(str(tmp_path / "users.yaml")),)
    assert config.tokens.key_folder == str(elsewhere / "data/keys")
    assert config.sessions.store.reveal() == "sqlite:///data/gateway.db"


@pytest.mark.parametrize(
    ("store", "kind", "shown"),
    [
        ("memory:", "memory", "memory:"),
        ("sqlite:////data/g.db", "sqlite", "sqlite:////data/g.db"),
        (
            "postgresql://u:p@h:1/d?sslmode=x",
            "postgresql",
            "postgresql://u:********@h:1/d?********",
        ),
        ("postgresql:///d", "postgresql", "postgresql:///d"),
        ("rediss://:p@h/0", "redis", "rediss://:********@h/0"),
        ("redis+sentinel://a:1,b:2/main", "redis", "redis+sentinel://a:1,b:2/main"),
    ],
)
def test_a_store_has_a_kind_and_shows_no_password(
    tmp_path: Path, store: str, kind: str, shown: str
) -> None:
    sessions = loaded(tmp_path, f"{SMALLEST}sessions: {{store: '{store}'}}\n").sessions

    assert (sessions.store.reveal(), sessions.store_kind) == (store, kind)
    assert str(sessions.store) == shown


def test_a_section_without_keys_keeps_its_defaults(tmp_path: Path) -> None:
    text = SMALLEST + "tokens:\nlimits:\ncookies: {}\nheaders: ~\nlog: {level: }\n"

    assert loaded(tmp_path, text) == loaded(tmp_path, SMALLEST)


def test_the_app_may_decide_about_sign_in(tmp_path: Path) -> None:
    text = SMALLEST + "  - upstream: {url: 'http://a/login', send: json}\n"

    assert loaded(tmp_path, text).login[1] == values.UpstreamLogin(
        "http://a/login", "json", "username", "password", 10
    )
