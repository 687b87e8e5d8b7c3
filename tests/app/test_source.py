"""Changes of files: noticed however a file is exchanged, and not before it is whole."""

import os
from pathlib import Path

import pytest

from gateway.app.source import Changes, Source, named, read_once
from gateway.config.problem import ConfigErrors


def source(path: Path) -> Source:
    return Source(str(path), {})


def noticed(path: Path, change, *others: Path) -> list[bool]:
    """Return what three looks after *change* say."""
    watched = source(path)
    names = [str(other) for other in others]
    changes = Changes(watched.fingerprint(names))
    assert not changes.look(watched.fingerprint(names))
    change()
    return [changes.look(watched.fingerprint(names)) for _ in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("old: 1")
    return path


def test_an_edit_in_place_is_noticed_once_it_is_left_alone(file: Path):
    assert noticed(file, lambda: file.write_text("newer: 2")) == [False, True, False]


def test_a_file_that_is_renamed_into_its_place_is_noticed(file: Path):
    def replace() -> None:
        new = file.with_suffix(".new")
        new.write_text("old: 2")
        stat = file.stat()
        os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        new.replace(file)

    assert noticed(file, replace) == [False, True, False]


def test_a_config_map_is_noticed_when_its_links_are_swapped(tmp_path: Path):
    """As the kubelet does: config.yaml → ..data/config.yaml, and ..data → ..<time>."""
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "config.yaml").write_text(f"version: '{version}'")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")

    def swap() -> None:
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    assert noticed(tmp_path / "config.yaml", swap) == [False, True, False]


def test_while_it_is_written_nobody_reads_it(file: Path):
    watched = source(file)
    changes = Changes(watched.fingerprint())
    for part in range(3):
        with file.open("a") as writing:
            writing.write(f"part: {part}\n")
        assert not changes.look(watched.fingerprint())

    assert changes.look(watched.fingerprint())


def test_a_file_that_is_gone_for_a_while_changes_nothing_until_it_is_back(file: Path):
    watched = source(file)
    changes = Changes(watched.fingerprint())
    file.unlink()
    assert not any(changes.look(watched.fingerprint()) for _ in range(3))
    file.write_text("new: 3")

    assert [changes.look(watched.fingerprint()) for _ in range(3)] == [False, True, False]


def test_a_file_beside_it_counts_and_one_that_is_named_only_now_does_not(file: Path):
    beside = file.with_name("ca.crt")
    beside.write_text("one")
    assert noticed(file, lambda: beside.write_text("other"), beside) == [False, True, False]

    changes = Changes(source(file).fingerprint())
    now = source(file).fingerprint([str(beside)])
    assert not any(changes.look(now) for _ in range(3))


def test_a_file_that_may_be_read_now_has_changed(file: Path):
    file.chmod(0o000)

    assert noticed(file, lambda: file.chmod(0o600)) == [False, True, False]


def test_a_folder_changes_with_the_files_in_it(file: Path, tmp_path: Path):
    keys = tmp_path / "keys"
    keys.mkdir()
    for change in (
        lambda: (keys / "k1.pem").write_text("one"),
        lambda: (keys / "k1.pem").write_text("another"),
        (keys / "k1.pem").unlink,
    ):
        assert noticed(file, change, keys) == [False, True, False]


def test_what_is_read_once_is_what_upstreams_issuers_and_file_tags_name(tmp_path: Path):
    names = ["ca.crt", "client.crt", "client.key", "issuer.json", "audience", "users.yaml"]
    for name in names:
        (tmp_path / name).write_text("users: {}" if name == "users.yaml" else name)
    (tmp_path / "config.yaml").write_text(
        """
upstreams:
  app: {targets: https://app, ca: ca.crt, certificate: client.crt, key: client.key}
routes: [{path: /*, upstream: app}]
login: [{users: users.yaml}]
tokens:
  audience: !file audience
  accept: [{issuer: https://issuer, jwks: issuer.json, audience: a}]
"""
    )

    config = source(tmp_path / "config.yaml").read()

    paths = {str(tmp_path / name) for name in names}
    assert read_once(config) == paths - {str(tmp_path / "users.yaml")}
    assert named(config) == paths | {config.tokens.key_folder}


def test_a_configuration_with_mistakes_says_which_files_it_names(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(
        """
upstreams: {app: {targets: https://app, ca: ca.crt}}
tls: {certificate: tls.crt, key: tls.key}
public_url: !file address
routes: []
login: [{users: users.yaml}, {htpasswd: passwords}, {nonsense: 1}]
tokens: {accept: [{issuer: https://issuer, jwks: issuer.json, audience: a}]}
"""
    )

    with pytest.raises(ConfigErrors) as refused:
        source(tmp_path / "config.yaml").read()

    names = ("ca.crt", "tls.crt", "tls.key", "address", "users.yaml", "passwords", "issuer.json")
    assert refused.value.files == {str(tmp_path / name) for name in names}
