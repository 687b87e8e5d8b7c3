"""`gateway explain`: which route a request takes, rule by rule, and what becomes of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import click

from gateway.commands.options import config_option, loaded
from gateway.config.values import Config
from gateway.identity.principal import Principal
from gateway.identity.usernames import fold
from gateway.policy.access import Access, Verdict, describe, permits
from gateway.policy.routes import Ambiguous, Outcome, Route, Routes
from gateway.request import BadRequest, parse_authority, parse_target, split_absolute_form

_MARKS = {Outcome.TAKEN: "→", Outcome.PASSED: " ", Outcome.NOT_REACHED: " "}


@dataclass(frozen=True, slots=True)
class Question:
    method: str
    url: str
    principal: Principal | None


def explained(config: Config, question: Question) -> Iterator[str]:
    """Yield the explanation line by line."""
    split = split_absolute_form(question.url)
    if split is None:
        raise click.UsageError("name the whole URL, such as https://example.com/path")
    try:
        authority, target = parse_authority(split[0]), parse_target(split[1].partition("#")[0])
    except BadRequest as error:
        yield f"verdict: refused with {error.status}, whoever asks: {error.detail}"
        return
    yield f"request: {question.method} host {authority.host}, path {target.path}"
    for reading in target.readings:
        yield f"         an upstream may read the path as {reading}"
    prefix = config.auth.prefix
    if target.path == prefix or target.path.startswith(prefix + "/"):
        yield f"verdict: answered by the gateway itself ({prefix})"
        return
    routes = Routes(config.routes)
    for step in routes.explain(authority.host, question.method, target.path):
        rule = f"{_rendered(step.route)}: {describe(step.route.access)}"
        yield f"{_MARKS[step.outcome]} {step.number}. {rule} ({step.reason})"
    found = routes.match(authority.host, question.method, target.path, target.readings)
    yield f"verdict: {_verdict(found, question.principal)}"


def _rendered(route: Route) -> str:
    methods = " ".join(sorted(route.methods)) + " " if route.methods else ""
    return f"{methods}{route.host or ''}{route.path} to {route.upstream}"


def _verdict(found: Route | Ambiguous | None, principal: Principal | None) -> str:
    match found:
        case None:
            return "404, no route matches"
        case Ambiguous(routes=(_, Route() as guarding), ignoring_case=True):
            rule = f"{_rendered(guarding)}: {describe(guarding.access)}"
            return f"400, an app that ignores case may find another rule for the path ({rule})"
        case Ambiguous():
            return "400, the path has two readings that take different routes"
        case Route():
            return _access_verdict(found, principal)


def _access_verdict(route: Route, principal: Principal | None) -> str:
    match permits(route.access, principal):
        case Verdict.ALLOW:
            known = principal is not None and route.access is not Access.PUBLIC
            who = f"as {principal.subject}" if principal and known else "as nobody"
            return f"allowed, goes to {route.upstream} {who}"
        case Verdict.SIGN_IN:
            return "sign in first: navigations are sent to the sign-in page, others get 401"
        case Verdict.FORBID:
            return "403, the access rule does not let this person in"


@click.command()
@config_option
@click.argument("method")
@click.argument("url")
@click.option("--as", "user", metavar="USER", help="As this user; without it, as nobody.")
@click.option("--group", "groups", multiple=True, help="A group of the user; may be repeated.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE", help="A claim of the user.")
def explain(
    config_path: str | None,
    method: str,
    url: str,
    user: str | None,
    groups: tuple[str, ...],
    claims: tuple[str, ...],
) -> None:
    """Show which route METHOD URL takes and why, and whether it is let through."""
    if user is None and (groups or claims):
        raise click.UsageError("--group and --claim describe a user: name one with --as")
    principal = None
    if user is not None:
        principal = Principal(subject=fold(user), groups=groups, claims=_claims(claims))
    config = loaded(config_path)
    for line in explained(config, Question(method.upper(), url, principal)):
        click.echo(line)


def _claims(given: tuple[str, ...]) -> dict[str, object]:
    claims: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--claim {text}: write NAME=VALUE")
        claims.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in claims.items()}
