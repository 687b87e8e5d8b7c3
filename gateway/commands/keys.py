"""`gateway keys`: make, show and rotate what the gateway signs with; running gateways notice."""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.commands.options import config_option, loaded
from gateway.config.values import Config
from gateway.tokens.algorithms import UnfitKey
from gateway.tokens.key_folder import KeyFolder, KeyFolderError
from gateway.tokens.keys import ACTIVATION_DELAY, KeySet, SigningKey
from gateway.tokens.shared_secrets import secret_keys

_SECRETS_ROTATE_BY_HAND = (
    "the keys are secrets in the configuration. To rotate without signing anybody out: add the new "
    "one below the old, restart every gateway, then move it to the top and restart again"
)


@click.group()
def keys() -> None:
    """Make, show and rotate the keys that sign access tokens."""


@keys.command()
@config_option
@click.option("--secret", is_flag=True, help="Print a new secret for HS256 and do nothing else.")
def generate(config_path: str | None, *, secret: bool) -> None:
    """Make the first key where there is none, as the first start would."""
    if secret:
        click.echo(secrets.token_urlsafe(32))
        return
    config = loaded(config_path)
    path, now = _folder(config), time.time()
    before = set(path.glob("*.pem"))
    with _failures_told():
        folder = KeyFolder.open(path, config.tokens.algorithm, now)
    made = set(path.glob("*.pem")) - before
    for file in sorted(made):
        click.echo(f"made {file}")
    if not made:
        click.echo(f"nothing to make: {path} has {len(folder.current().keys)} already")


@keys.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(config_path: str | None, *, as_json: bool) -> None:
    """Show every key, newest first, and what it does; never a secret."""
    config = loaded(config_path)
    with _failures_told():
        if config.tokens.key_folder is None:
            held = secret_keys([secret.reveal() for secret in config.tokens.secrets])
        else:
            folder = KeyFolder(_folder(config), config.tokens.algorithm)
            held = folder.current()
            for file in folder.exposed():
                click.echo(f"warning: others may read {file}, chmod 600 is right", err=True)
    lines = listed(held, time.time(), _keep(config))
    if as_json:
        click.echo(json.dumps(lines, indent=2))
        return
    for line in table(lines):
        click.echo(line)


@keys.command()
@config_option
@click.option(
    "--discard-old",
    is_flag=True,
    help="Remove every other key at once, as after a leak. Everybody has to sign in again.",
)
def rotate(config_path: str | None, *, discard_old: bool) -> None:
    """Make a new key. It is published at once, signs a minute later and signs nobody out.

    Keys that nothing valid is signed with any more are removed.
    """
    config = loaded(config_path)
    path, now = _folder(config), time.time()
    with _failures_told():
        folder = KeyFolder(path, config.tokens.algorithm)
        new = folder.rotate(now)
        removed = folder.discard_all_but(new.kid) if discard_old else ()
        removed += folder.prune(now, _keep(config))
    start = now if discard_old else now + ACTIVATION_DELAY
    click.echo(f"new key {new.kid}, signs from {_instant(start)}")
    for key in removed:
        click.echo(f"removed {key.kid}")


def listed(held: KeySet, now: float, keep: float) -> list[dict[str, str]]:
    """Describe each key; *keep* is how long one verifies after it stopped to sign."""
    return [
        {
            "key": key.kid,
            "algorithm": key.algorithm,
            "created": _instant(key.created) if key.created > 0 else "",
            "state": _state(held, key, now, keep),
        }
        for key in held.newest_first()
    ]


def table(lines: Sequence[Mapping[str, str]]) -> Iterator[str]:
    yield f"{'KEY':<32}  {'ALGORITHM':<9}  {'CREATED':<20}  STATE"
    for line in lines:
        yield (
            f"{line['key']:<32}  {line['algorithm']:<9}  {line['created'] or '-':<20}  "
            f"{line['state']}"
        )


def _state(held: KeySet, key: SigningKey, now: float, keep: float) -> str:
    if key is held.signing(now):
        return "signs"
    if now < key.created + ACTIVATION_DELAY:
        return f"published, signs from {_instant(key.created + ACTIVATION_DELAY)}"
    if key.created <= 0 or held.superseded_at(key) == float("inf"):
        return "verifies"
    return f"verifies until {_instant(held.superseded_at(key) + keep)}"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _folder(config: Config) -> Path:
    if config.tokens.key_folder is None:
        raise click.UsageError(_SECRETS_ROTATE_BY_HAND)
    return Path(config.tokens.key_folder)


def _keep(config: Config) -> float:
    """Return how long something signed may stay valid: a session, then its last access token."""
    return config.sessions.absolute_lifetime + config.tokens.access_lifetime


@contextlib.contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except (KeyFolderError, UnfitKey) as error:
        raise click.ClickException(str(error)) from error
