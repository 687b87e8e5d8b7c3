"""From the sections of the file to the values that the app receives.

Files that people write (users, certificates) are looked up beside the configuration file; what the
gateway itself makes (keys, databases) goes below the working directory, as with Prometheus.
"""

from pathlib import Path

from gateway.config import values
from gateway.config.cores import usable_cores
from gateway.config.model import File, HeadersSection, LoginSection, TokensSection
from gateway.config.secret import Secret
from gateway.config.units import rendered_origin
from gateway.headers.cookies import OurCookies, our_cookies
from gateway.headers.identity import IdentityHeaders

_PRESETS = {
    "forwarded": IdentityHeaders(),
    "remote": IdentityHeaders("Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups"),
    "auth-request": IdentityHeaders(
        "X-Auth-Request-User",
        "X-Auth-Request-Email",
        "X-Auth-Request-Preferred-Username",
        "X-Auth-Request-Groups",
    ),
}
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def config(file: File, folder: Path) -> values.Config:
    """Make the values of a file without problems; relative paths begin at *folder*."""
    url = public_url(file)
    return values.Config(
        listen=file.listen,
        tls=values.Tls(_beside(folder, file.tls.certificate), _beside(folder, file.tls.key))
        if file.tls
        else None,
        public_url=url,
        own_origins=own_origins(file),
        trusted_proxies=file.trusted_proxies,
        proxy_protocol=file.proxy_protocol,
        workers=file.workers or usable_cores(),
        upstreams={name: section.value(name, folder) for name, section in file.upstreams.items()},
        routes=tuple(section.value() for section in file.routes),
        auth=values.Auth(**dict(file.auth)),
        tokens=_tokens(file.tokens, url, folder),
        sessions=_sessions(file),
        cookies=cookies(file),
        headers=identity_headers(file.headers),
        login=tuple(_login(section, folder) for section in file.login),
        operations=file.operations,
        limits=values.Limits(**dict(file.limits)),
        log=values.Log(**dict(file.log)),
    )


def public_url(file: File) -> str:
    """Return the configured origin, or the one that `listen` suggests."""
    if file.public_url is not None:
        return file.public_url
    scheme = "https" if file.tls else "http"
    if isinstance(file.listen, values.UnixAddress):
        return f"{scheme}://localhost"
    host, port = file.listen.host, file.listen.port
    shown = "localhost" if host in _EVERYWHERE | _LOOPBACK else host
    return rendered_origin(scheme, shown, port or None)


def own_origins(file: File) -> frozenset[str]:
    """Return the origins whose pages are our own.

    Without a public_url, a browser on this machine may have used any of its names for itself.
    """
    own = public_url(file)
    if file.public_url is not None or not isinstance(file.listen, values.TcpAddress):
        return frozenset({own})
    host, port = file.listen.host, file.listen.port or None
    if host not in _EVERYWHERE | _LOOPBACK:
        return frozenset({own})
    scheme = "https" if file.tls else "http"
    return frozenset({own} | {rendered_origin(scheme, name, port) for name in _LOOPBACK})


def is_secure(file: File) -> bool:
    return public_url(file).startswith("https://")


def cookies(file: File) -> OurCookies:
    inline = file.auth.transparent_refresh == "inline"
    return our_cookies(
        access=file.cookies.access,
        refresh=file.cookies.refresh,
        secure=is_secure(file),
        same_site=file.cookies.same_site,
        domain=file.cookies.domain,
        # Only renewal on the way needs the refresh token on every request.
        refresh_path="/" if inline else file.auth.prefix,
        prefixed=file.cookies.prefix == "auto",
        says_session=file.auth.transparent_refresh == "redirect",
    )


def identity_headers(section: HeadersSection) -> IdentityHeaders:
    preset = _PRESETS[section.preset]
    fields = IdentityHeaders.__dataclass_fields__
    chosen = {
        name: getattr(section if name in section.model_fields_set else preset, name)
        for name in fields
    }
    return IdentityHeaders(**chosen)


def store_kind(store: Secret) -> values.StoreKind:
    scheme = store.reveal().partition(":")[0]
    return _KINDS.get(scheme, "redis")


_KINDS: dict[str, values.StoreKind] = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgresql",
}


def _beside(folder: Path, path: str) -> str:
    return str(folder.absolute() / path)


def _tokens(section: TokensSection, url: str, folder: Path) -> values.Tokens:
    keys = section.keys
    return values.Tokens(
        issuer=section.issuer or url,
        audience=section.audience,
        algorithm=section.algorithm,
        key_folder=None if keys.folder is None else str(Path(keys.folder).absolute()),
        secrets=tuple(item.secret for item in keys.secrets or ()),
        access_lifetime=section.access_lifetime,
        accept=tuple(
            values.AcceptedIssuer(
                issuer=item.issuer,
                jwks=item.jwks if "://" in item.jwks else _beside(folder, item.jwks),
                audience=item.audience,
                algorithms=item.algorithms,
            )
            for item in section.accept
        ),
    )


def _sessions(file: File) -> values.Sessions:
    section = file.sessions
    return values.Sessions(store_kind=store_kind(section.store), **dict(section))


def _login(section: LoginSection, folder: Path) -> values.Login:
    if section.users is not None:
        return values.UsersFile(_beside(folder, section.users))
    if section.database is not None:
        return values.UsersDatabase(section.database)
    if section.htpasswd is not None:
        return values.Htpasswd(_beside(folder, section.htpasswd))
    if section.upstream is not None:
        return values.UpstreamLogin(**dict(section.upstream))
    raise AssertionError(section)  # ldap and oidc are refused before
