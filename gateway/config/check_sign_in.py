"""Can people sign in, are the keys worth their name, and do lifetimes and stores make sense?"""

from collections.abc import Iterator

from gateway.config.finding import Finding, Subject
from gateway.config.resolve import store_kind
from gateway.policy.access import Access


def providers(subject: Subject) -> Iterator[Finding]:
    file = subject.file
    has_database = any(item.database for item in file.login)
    if file.auth.registration and not has_database and not subject.unreadable(("login",)):
        yield from subject.error(
            ("auth", "registration"),
            "needs a place for new users: add database: sqlite:///data/gateway.db to login",
        )
    if file.auth.registration and any(item.upstream for item in file.login):
        yield from subject.error(
            ("auth", "registration"),
            "is impossible beside login by upstream, which cannot tell whose names are taken: "
            "whoever registered one of them would become that user",
        )
    if file.login or file.tokens.accept or subject.unreadable(("login",), ("tokens", "accept")):
        return
    for at, section in subject.items("routes", file.routes):
        if section.access.value() not in {Access.PUBLIC, Access.OPTIONAL}:
            yield from subject.error(
                ("login",),
                f"is empty, but routes[{at}] ({section.path}) needs sign-in: "
                "nobody could ever pass; add an item such as users: users.yaml",
            )
            return


def signing_keys(subject: Subject) -> Iterator[Finding]:
    section = subject.file.tokens
    secrets = section.keys.secrets
    if not subject.unreadable(("tokens", "keys"), ("tokens", "algorithm")):
        if section.algorithm == "HS256" and secrets is None:
            yield from subject.error(
                ("tokens", "algorithm"), "HS256 needs keys: [{secret: ${TOKEN_SECRET}}]"
            )
        if section.algorithm != "HS256" and secrets is not None:
            yield from subject.error(
                ("tokens", "keys"),
                f"secrets are for HS256; {section.algorithm} needs the name of a folder",
            )
        if section.algorithm == "HS256" and subject.file.headers.assertion is not None:
            yield from subject.error(
                ("headers", "assertion"),
                "needs keys that can be published, for the app to verify it; HS256 has none: "
                "take ES256, EdDSA or RS256",
            )
    for at, item in subject.items("tokens.keys", secrets or ()):
        if complaint := weakness(item.secret.reveal()):
            yield from subject.error(("tokens", "keys", at, "secret"), complaint)


def weakness(secret: str) -> str:
    """Say why *secret* is no signing key, or nothing (SECURITY J2). Never repeats the secret."""
    # cryptography takes its time to load, and only HS256 asks for it here.
    from gateway.tokens.algorithms import UnfitKey  # noqa: PLC0415
    from gateway.tokens.shared_secrets import secret_keys  # noqa: PLC0415

    try:
        secret_keys([secret])
    except UnfitKey as error:
        return f"{error}; `openssl rand -base64 32` makes a good one"
    return ""


def lifetimes(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("sessions",), ("tokens", "access_lifetime")):
        return
    access, section = subject.file.tokens.access_lifetime, subject.file.sessions
    if access >= section.idle_lifetime:
        yield from subject.error(
            ("tokens", "access_lifetime"),
            "must be shorter than sessions.idle_lifetime, or no session would ever be renewed",
        )
    if section.idle_lifetime > section.absolute_lifetime:
        yield from subject.error(
            ("sessions", "idle_lifetime"), "must not be longer than sessions.absolute_lifetime"
        )
    if section.grace + section.delivery >= section.idle_lifetime:
        yield from subject.error(
            ("sessions", "grace"),
            "grace and delivery together must be shorter than sessions.idle_lifetime",
        )
    elif section.grace + section.delivery > access:
        yield from subject.warning(
            ("tokens", "access_lifetime"),
            "is shorter than sessions.grace and sessions.delivery together: refresh tokens are "
            "replaced less often than access tokens",
        )


def stores(subject: Subject) -> Iterator[Finding]:
    if subject.unreadable(("sessions", "store"), ("workers",)):
        return
    file = subject.file
    if store_kind(file.sessions.store) == "memory" and file.workers != 1:
        yield from subject.error(
            ("sessions", "store"),
            "memory: is not shared between workers; use sqlite:///…, or workers: 1",
        )
