"""Requests, tokens and routes for tests of the one decision."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.headers.cookies import our_cookies
from gateway.headers.identity import IdentityHeaders
from gateway.identity.principal import Principal
from gateway.pipeline import PORTAL, Pipeline, Reason, Refuse, Settings
from gateway.policy.access import Access, Allow
from gateway.policy.routes import Route, Routes
from gateway.request import Request, parse_authority, parse_target
from gateway.sessions.revocation import DenySet
from gateway.tokens.access import Signer, Verifier
from gateway.tokens.keys import KeySet, SigningKey

NOW = 1_800_000_000.0
PRIVATE = ec.generate_private_key(ec.SECP256R1())
KEYS = KeySet((SigningKey("k1", "ES256", PRIVATE, PRIVATE.public_key(), 0.0),))
SIGNER = Signer(lambda: KEYS, "http://localhost", "gateway", 900.0)
VERIFIER = Verifier(lambda: KEYS, "http://localhost", "gateway")
ROUTES = (
    Route("/auth/*", PORTAL, Access.PUBLIC),
    Route("/public/*", "app", Access.PUBLIC),
    Route("/optional/*", "app", Access.OPTIONAL),
    Route("/admin/*", "app", (Allow(groups=frozenset({"admins"})),)),
    Route("/api/*", "app", preflight=True, methods=frozenset({"POST"})),
    Route("/hooks/*", "app", cross_site=False),
    Route("/*", "app", methods=frozenset({"GET", "POST", "DELETE"})),
)


def token(subject="alice", groups=(), session_id="s1", now=NOW, generation=1) -> str:
    principal = Principal(subject, groups=groups)
    return SIGNER.sign(principal, session_id, generation, now, None, "t1")[0]


def pipeline(deny=None, verify=VERIFIER.verify, assertions=None, **settings) -> Pipeline:
    return Pipeline(
        routes=Routes(ROUTES),
        cookies=our_cookies(
            secure=False, says_session=settings.get("transparent_refresh") == "redirect"
        ),
        identity=IdentityHeaders(assertion="X-Assertion" if assertions else None),
        verify=verify,
        denies=(DenySet() if deny is None else deny).denies,
        settings=replace(Settings("/auth", frozenset({"http://localhost"})), **settings),
        assertions=assertions,
    )


def request(
    path="/x",
    method="GET",
    *,
    access=None,
    refresh=None,
    bearer=None,
    cookie="",
    upgrade=False,
    **headers,
) -> Request:
    pairs = [cookie] if cookie else []
    if access is not None:
        pairs.append(f"accessToken={access}")
    if refresh is not None:
        pairs.append(f"refreshToken={refresh}")
    noted = {name.replace("_", "-"): value.encode("latin-1") for name, value in headers.items()}
    if bearer is not None:
        noted["authorization"] = f"Bearer {bearer}".encode()
    return Request(
        method,
        "http",
        parse_authority("localhost"),
        parse_target(path),
        noted,
        "; ".join(pairs).encode("latin-1"),
        "127.0.0.1",
        upgrade=upgrade,
    )


def refused(decision) -> tuple[int, Reason]:
    assert isinstance(decision, Refuse)
    return decision.status, decision.reason
