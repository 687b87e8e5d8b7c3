"""The folder of keys: whole files, one first key, changes noticed, nothing good lost."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.identity.principal import Principal
from gateway.tokens.access import Signer, UnknownKey, Verifier
from gateway.tokens.key_folder import KeyFolder, KeyFolderError
from gateway.tokens.keys import ACTIVATION_DELAY

NOW = 1_800_000_000.0
DAY = 86_400.0
MONTH = 30 * DAY


def kids(folder: KeyFolder) -> set[str]:
    return {key.kid for key in folder.current().keys}


def pem(private, protection=None) -> bytes:
    protection = protection or NoEncryption()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_the_first_start_makes_a_key_and_every_further_start_finds_it(
    tmp_path: Path, algorithm: str
) -> None:
    path = tmp_path / "data" / "keys"
    first = KeyFolder.open(path, algorithm, NOW)
    again = KeyFolder.open(path, algorithm, NOW + DAY)

    key = first.current().signing(NOW)
    assert (key.algorithm, key.created) == (algorithm, NOW)
    assert again.current().signing(NOW + DAY).kid == key.kid
    assert again.current().signing(NOW + DAY).created == NOW
    assert again.current().refresh_secrets(NOW) == first.current().refresh_secrets(NOW)
    assert [file.name for file in path.iterdir()] == [f"{key.kid}.pem"]


def test_only_the_owner_can_read_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old = os.umask(0)
    try:
        folder = KeyFolder.open(path, "ES256", NOW)
    finally:
        os.umask(old)

    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()] == [0o600]
    assert folder.exposed() == ()


def test_a_key_belongs_to_whoever_owns_the_folder(tmp_path: Path) -> None:
    """An operator rotates as root, the gateway runs as somebody else."""
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path, owner, -1)

    KeyFolder.open(tmp_path, "ES256", NOW)

    assert [file.stat().st_uid for file in tmp_path.iterdir()] == [owner]


def test_a_key_file_that_others_may_read_is_pointed_out(tmp_path: Path) -> None:
    folder = KeyFolder.open(tmp_path, "ES256", NOW)
    (file,) = tmp_path.iterdir()
    file.chmod(0o640)

    assert folder.exposed() == (file,)


def test_a_copied_folder_keeps_the_age_of_its_keys(tmp_path: Path) -> None:
    kid = KeyFolder.open(tmp_path / "a", "ES256", NOW).current().signing(NOW).kid
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / f"{kid}.pem").write_bytes((tmp_path / "a" / f"{kid}.pem").read_bytes())

    assert KeyFolder(tmp_path / "b", "ES256").current().keys[0].created == NOW


@pytest.mark.parametrize("note", [b"", b"Created: yesterday\n", b"# ours\n"])
def test_a_key_of_the_operators_own_is_as_old_as_its_file(tmp_path: Path, note: bytes) -> None:
    file = tmp_path / "our-own_key.pem"
    file.write_bytes(note + pem(ec.generate_private_key(ec.SECP256R1())))
    os.utime(file, (NOW, NOW))

    key = KeyFolder.open(tmp_path, "ES256", NOW + DAY).current().signing(NOW + DAY)

    assert (key.kid, key.created) == ("our-own_key", NOW)


def open_at_once(path: Path, start, results) -> None:
    start.wait()
    results.put(sorted(kids(KeyFolder.open(path, "ES256", NOW))))


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=open_at_once, args=(tmp_path / "keys", start, results))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)

    assert len(found[0]) == 1
    assert found == [found[0]] * 4


def test_rotation_signs_nobody_out(tmp_path: Path) -> None:
    """J6: through a rotation, tokens and refresh secrets of the old key stay good."""
    operator = KeyFolder.open(tmp_path, "ES256", NOW)
    running = KeyFolder(tmp_path, "ES256")
    signer = Signer(running.current, "issuer", "gateway", 900.0)
    verifier = Verifier(running.current, "issuer", "gateway")

    def token(now: float) -> str:
        return signer.sign(Principal("alice"), "session-1", 1, now, None, "token-1")[0]

    old = running.current().signing(NOW)
    before = token(NOW + DAY)
    new = operator.rotate(NOW + DAY)

    assert running.reload_if_changed()
    assert not running.reload_if_changed()
    assert new.kid in {jwk["kid"] for jwk in running.current().jwks()["keys"]}
    assert running.current().signing(NOW + DAY).kid == old.kid

    later = NOW + DAY + ACTIVATION_DELAY
    assert running.current().signing(later).kid == new.kid
    for made in (before, token(NOW + DAY + 1), token(later)):
        assert verifier.verify(made, later).principal.subject == "alice"
    secrets = running.current().refresh_secrets(later)
    assert [kid for kid, _ in secrets] == [new.kid, old.kid]
    assert dict(secrets)[old.kid] == old.refresh_secret()


def test_a_retired_key_is_pruned_only_after_the_longest_session(tmp_path: Path) -> None:
    operator = KeyFolder.open(tmp_path, "ES256", NOW)
    running = KeyFolder(tmp_path, "ES256")
    old = operator.current().signing(NOW)
    new = operator.rotate(NOW + DAY)
    over = NOW + DAY + ACTIVATION_DELAY + MONTH

    assert operator.prune(over - 1, MONTH) == ()
    assert kids(operator) == {old.kid, new.kid}
    assert operator.prune(over, MONTH) == (old,)
    assert kids(operator) == {new.kid}
    assert running.reload_if_changed()
    assert kids(running) == {new.kid}


def test_a_leaked_key_can_be_made_worthless_at_once(tmp_path: Path) -> None:
    operator = KeyFolder.open(tmp_path, "ES256", NOW)
    running = KeyFolder(tmp_path, "ES256")
    leaked = operator.current().signing(NOW)
    signer = Signer(running.current, "issuer", "gateway", 900.0)
    stolen, _ = signer.sign(Principal("alice"), "session-1", 1, NOW, None, "token-1")

    new = operator.rotate(NOW)
    assert operator.discard_all_but(new.kid) == (leaked,)
    assert running.reload_if_changed()

    assert running.current().signing(NOW).kid == new.kid
    assert dict(running.current().refresh_secrets(NOW)).keys() == {new.kid}
    with pytest.raises(UnknownKey):
        Verifier(running.current, "issuer", "gateway").verify(stolen, NOW)


def test_a_changed_algorithm_adds_a_key_and_keeps_the_old_one(tmp_path: Path) -> None:
    old = KeyFolder.open(tmp_path, "RS256", NOW).current().signing(NOW)
    folder = KeyFolder.open(tmp_path, "ES256", NOW + DAY)

    assert folder.current().signing(NOW + DAY).kid == old.kid
    assert folder.current().signing(NOW + DAY + ACTIVATION_DELAY).algorithm == "ES256"
    assert folder.current().verifying(old.kid) == old.verifying()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("bad.pem", b"", "no private key"),
        ("bad.pem", b"nonsense", "no private key"),
        ("bad.pem", pem(ec.generate_private_key(ec.SECP256R1()))[:-40], "no private key"),
        (
            "bad.pem",
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "no private key",
        ),
        (
            "bad.pem",
            pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"password")),
            "without a password",
        ),
        ("bad.pem", pem(ec.generate_private_key(ec.SECP521R1())), "curve secp521r1"),
        ("bad.pem", pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        ("a.b.pem", pem(ec.generate_private_key(ec.SECP256R1())), "name"),
        (f"{'n' * 33}.pem", pem(ec.generate_private_key(ec.SECP256R1())), "name"),
    ],
)
def test_a_bad_file_is_named_and_replaces_nothing(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    """R7: told once per change, the last good keys go on."""
    running = KeyFolder.open(tmp_path, "ES256", NOW)
    good = running.current()
    (tmp_path / name).write_bytes(content)

    with pytest.raises(KeyFolderError, match=f"{name}.*{why}"):
        KeyFolder.open(tmp_path, "ES256", NOW)
    with pytest.raises(KeyFolderError, match=f"{name}.*{why}"):
        running.reload_if_changed()
    assert not running.reload_if_changed()
    assert running.current() is good

    (tmp_path / name).unlink()
    assert running.reload_if_changed()


def test_a_folder_that_lost_its_keys_or_itself_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    running = KeyFolder.open(path, "ES256", NOW)
    good = running.current()

    (path / f"{good.signing(NOW).kid}.pem").unlink()
    with pytest.raises(KeyFolderError, match="no key"):
        running.reload_if_changed()
    path.rmdir()
    with pytest.raises(KeyFolderError, match="keys"):
        running.reload_if_changed()
    assert running.current() is good


def test_hidden_and_other_files_are_left_alone(tmp_path: Path) -> None:
    folder = KeyFolder.open(tmp_path, "ES256", NOW)
    for name in (".hidden.pem", "README", "cert.crt"):
        (tmp_path / name).write_text("no key")

    assert not folder.reload_if_changed()
    assert len(KeyFolder(tmp_path, "ES256").current().keys) == 1


def test_what_a_crash_left_over_is_swept_and_never_taken_for_a_key(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.new").write_text("half a k")
    folder = KeyFolder.open(tmp_path, "ES256", NOW)

    assert [file.name for file in tmp_path.iterdir()] == [f"{next(iter(kids(folder)))}.pem"]


def test_a_folder_without_keys_is_an_error_for_who_does_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFolderError, match="no key"):
        KeyFolder(tmp_path, "ES256")
    with pytest.raises(KeyFolderError, match="missing"):
        KeyFolder(tmp_path / "missing", "ES256")


def test_no_key_files_are_made_for_shared_secrets(tmp_path: Path) -> None:
    with pytest.raises(KeyFolderError, match="HS256"):
        KeyFolder.open(tmp_path, "HS256", NOW)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyFolderError, match="file"):
        KeyFolder.open(tmp_path / "file" / "keys", "ES256", NOW)


def test_replaced_contents_are_noticed_whatever_the_times_say(tmp_path: Path) -> None:
    folder = KeyFolder.open(tmp_path, "ES256", NOW)
    (file,) = tmp_path.iterdir()
    times = file.stat()
    file.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = folder.current().keys[0].public

    assert folder.reload_if_changed()
    assert folder.current().keys[0].public != before
