"""A refused configuration is tried again when a file is mended that it names (SECURITY R7)."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.app.config_watch import ConfigWatch
from gateway.app.source import Source
from gateway.config.problem import ConfigErrors
from tests.app.conftest import HASH
from tests.certificates import make_pair, written

USERS = yaml.safe_dump({"users": {"bob": {"password": HASH}}})
OPEN = [{"path": "/*", "upstream": "app", "access": "public"}]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


async def is_tried_again(gateway, mend: Callable[[], object]) -> None:
    """See that what was just written is refused, and is in force once *mend* has been called."""
    before = gateway.generation
    await until(lambda: gateway.reloading._refused_over_files)
    assert gateway.generation is before

    mend()

    await until(lambda: gateway.generation is not before)
    assert gateway.generation.config.routes[0].path == "/*"


async def test_a_certificate_whose_key_comes_later(site, tmp_path: Path):
    written(tmp_path, *make_pair("first"))
    site.write(
        tls={"certificate": "tls.crt", "key": "tls.key"}, public_url="https://localhost", routes=[]
    )
    async with site.running() as gateway:
        certificate, key = make_pair("second")
        (tmp_path / "new.crt").write_bytes(certificate)
        (tmp_path / "new.key").write_bytes((tmp_path / "tls.key").read_bytes())
        site.write(tls={"certificate": "new.crt", "key": "new.key"}, routes=OPEN)

        await is_tried_again(gateway, lambda: (tmp_path / "new.key").write_bytes(key))

        assert gateway.generation.config.tls.key == str(tmp_path / "new.key")


@pytest.mark.parametrize("bad", ["users: [no, mapping]", None], ids=["bad", "missing"])
@pytest.mark.parametrize(("kind", "good"), [("users", USERS), ("htpasswd", f"bob:{HASH}\n")])
async def test_a_file_of_users(site, tmp_path: Path, kind: str, good: str, bad: str | None):
    others = tmp_path / "others"
    if bad is not None:
        others.write_text(bad)
    async with site.running() as gateway:
        site.write(login=[{kind: "others"}], routes=OPEN)

        await is_tried_again(gateway, lambda: others.write_text(good))


async def test_a_key_in_the_folder_of_keys(site, tmp_path: Path):
    (tmp_path / "others").mkdir()
    key = tmp_path / "others" / "k1.pem"
    key.write_text("no key")
    async with site.running() as gateway:
        site.write(tokens={"keys": str(tmp_path / "others")}, routes=OPEN)

        good = next((tmp_path / "keys").glob("*.pem")).read_bytes()
        await is_tried_again(gateway, lambda: key.write_bytes(good))


async def test_a_file_that_the_configuration_takes_a_value_from(site, tmp_path: Path):
    async with site.running() as gateway:
        site.write(routes=OPEN)
        config = tmp_path / "config.yaml"
        config.write_text(config.read_text() + "auth: {prefix: !file prefix}\n")

        await is_tried_again(gateway, lambda: (tmp_path / "prefix").write_text("/elsewhere\n"))

        assert gateway.generation.config.auth.prefix == "/elsewhere"


async def test_a_certificate_in_use_that_a_reload_came_too_early_for(site, tmp_path: Path):
    written(tmp_path, *make_pair("first"))
    site.write(tls={"certificate": "tls.crt", "key": "tls.key"}, public_url="https://localhost")
    async with site.running() as gateway:
        certificate, key = make_pair("second")
        (tmp_path / "tls.crt").write_bytes(certificate)
        assert await gateway.reload() != []
        before = gateway.generation

        (tmp_path / "tls.key").write_bytes(key)

        await until(lambda: gateway.generation is not before)


# --- when it is time -----------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "users.yaml").write_text(USERS)
    (tmp_path / "others.yaml").write_text(USERS)
    write(tmp_path, "users.yaml")
    return Source(str(tmp_path / "config.yaml"), {})


def write(folder: Path, users: str) -> None:
    (folder / "config.yaml").write_text(
        f"""
upstreams: {{app: 'http://127.0.0.1:1'}}
routes: [{{path: /*, upstream: app}}]
login: [{{users: {users}}}]
tokens: {{keys: {folder / "keys"}}}
"""
    )


def dues(watch: ConfigWatch, *, refused: bool) -> list[bool]:
    return [watch.due(refused=refused) for _ in range(4)]


def test_files_that_others_watch_are_no_reason_while_nothing_is_refused(source, tmp_path):
    watch = ConfigWatch(source, source.read())

    (tmp_path / "users.yaml").write_text("")

    assert not any(dues(watch, refused=False))
    assert sum(dues(watch, refused=True)) == 1, "once, however often it is looked at"


def test_what_is_mended_while_it_is_being_refused_counts(source, tmp_path):
    watch = ConfigWatch(source, source.read())
    write(tmp_path, "others.yaml")
    assert sum(dues(watch, refused=False)) == 1
    watch.read(source.read())

    (tmp_path / "others.yaml").write_text(USERS + "\n")

    assert sum(dues(watch, refused=True)) == 1


def test_what_was_there_before_a_configuration_named_it_is_no_change(source, tmp_path):
    watch = ConfigWatch(source, source.read())
    write(tmp_path, "others.yaml")
    assert sum(dues(watch, refused=False)) == 1
    (tmp_path / "others.yaml").write_text(USERS + "\n")
    watch.read(source.read())

    assert not any(dues(watch, refused=True))


def test_what_a_configuration_that_cannot_be_read_names_is_waited_for(source, tmp_path):
    watch = ConfigWatch(source, source.read())
    write(tmp_path, "missing.yaml")
    assert sum(dues(watch, refused=False)) == 1
    with pytest.raises(ConfigErrors) as refused:
        source.read()
    watch.unreadable(refused.value.files)
    assert not any(dues(watch, refused=True))

    (tmp_path / "missing.yaml").write_text(USERS)

    assert sum(dues(watch, refused=True)) == 1


def test_a_change_of_the_configuration_is_seen_whatever_was_read_meanwhile(source, tmp_path):
    watch = ConfigWatch(source, source.read())
    config = source.read()
    write(tmp_path, "others.yaml")

    watch.read(config)
    watch.unreadable([source.path])

    assert sum(dues(watch, refused=False)) == 1
