"""Users kept in a file."""

import pytest

from gateway.identity import htpasswd, users_file
from gateway.identity.file_source import FileSource
from gateway.identity.watched_file import BadFile
from tests.fakes import FakeClock

BCRYPT = "$2y$05$" + "b" * 53


async def test_a_bad_users_file_is_reported_and_the_good_users_stay(tmp_path):
    path, clock, reports = tmp_path / "users.yaml", FakeClock(), []
    path.write_text(f"users: {{alice: {{password: {BCRYPT}}}}}")
    source = FileSource(path, users_file.parse, now=clock, on_bad=reports.append)
    path.write_text("users: {alice: {pasword: x}}")
    clock.advance(1)

    alice = await source.find("alice")

    assert alice is not None
    assert alice.password_hash == BCRYPT
    assert [line.partition(" ")[0] for line in str(reports[0]).splitlines()] == [
        f"{path}:1:16:",
        f"{path}:1:17:",
    ]


async def test_decoys_follow_the_hashes_of_the_file(tmp_path):
    path, clock = tmp_path / ".htpasswd", FakeClock()
    path.write_text("")
    source = FileSource(path, htpasswd.parse, now=clock, on_bad=print)
    assert source.decoys() == ()

    path.write_text(f"alice:{BCRYPT}\n")
    clock.advance(1)
    await source.find("alice")

    assert [decoy[:29] for decoy in source.decoys()] == [BCRYPT[:29]]


def test_a_bad_file_does_not_open_and_tells_every_problem(tmp_path):
    path = tmp_path / ".htpasswd"
    path.write_text("alice:plain\nbob\n")

    with pytest.raises(BadFile) as bad:
        FileSource(path, htpasswd.parse, now=FakeClock(), on_bad=print)
    assert [line.partition(": ")[0] for line in str(bad.value).splitlines()] == [
        f"{path}:1:1",
        f"{path}:2:1",
    ]
