"""Rights that were given and are described no more: noted before they are given, taken back, and no others."""

from __future__ import annotations

import subprocess
from typing import Any

from homelab.nas import rights
from homelab.operations import users as operations
from homelab.probe import FileState, HostProbe
from tests.unit.nas.shares import host

USERS = {"anna": {"uid": 2001, "password": "env:A"}, "ben": {"uid": 2002, "password": "env:B"}}
THERE = "user:anna:2001\nuser:ben:2002\ngroup:anna:2001:\ngroup:ben:2002:\n"


def family(people: tuple[str, ...] = ("anna", "ben"), **volume: str) -> Any:
    return host(
        users=USERS,
        volumes={"photos": {"pool": "tank", "owner": "anna", **volume}},
        shares={"photos": {"volume": "photos", "smb": {"users": list(people)}}},
    )


def noted(text: str, members: str = "") -> HostProbe:
    found = HostProbe(output={"nas-accounts": f"{THERE}group:users:100:{members}\n"}, text={rights.RECORD: text})
    state = FileState("file", "0600", "root:root", rights.record(family(group="users"), found).sha256)
    return HostProbe(output=found.output, text=found.text, files={rights.RECORD: state})


GIVEN = (
    "group users anna\ngroup users ben\nshare photos anna\nshare photos ben\nvolume tank/photos users\n"  # as it sorts
)


def test_what_is_given_is_noted_before(host_double: Any) -> None:
    nas, fresh = family(group="users"), HostProbe(output={"nas-accounts": THERE + "group:users:100:\n"})
    assert rights.record(nas, fresh).content == GIVEN
    assert rights.withdrawn(nas, fresh) == {}
    written, joined = list(operations.accounts._inner(("usermod x",), rights.record(nas, fresh), None))
    assert rights.RECORD in written.get_raw_value()
    assert joined.get_raw_value() == "usermod x"


def test_a_second_run_notes_nothing(host_double: Any) -> None:
    nas, known = family(group="users"), noted(GIVEN, "anna,ben")
    current = known.files[rights.RECORD]
    assert list(operations.accounts._inner((), rights.record(nas, known), current)) == []
    assert rights.withdrawn(nas, known) == {}


def test_a_nas_that_gives_nothing_gets_no_note(host_double: Any) -> None:
    assert list(operations.accounts._inner((), rights.record(host(), HostProbe()), None)) == []


def test_a_membership_that_was_there_before_is_never_ours() -> None:
    before = HostProbe(output={"nas-accounts": THERE + "group:users:100:ben\n"})
    assert "group users ben" not in rights.record(family(group="users"), before).content


def test_a_person_withdrawn_from_a_share_leaves_its_group_and_its_sessions() -> None:
    gone = rights.withdrawn(family(people=("anna",), group="users"), noted(GIVEN, "anna,ben"))
    assert list(gone) == [
        "Take ben out of the group users",
        "End ben's sessions, who is no user of the share photos any more",
    ]
    (left, ended) = gone.values()
    assert "gpasswd --delete ben users" in left
    assert "smbstatus -p -u ben" in left and "smbstatus -p -u ben" in ended
    assert "gpasswd" not in ended


def test_a_withdrawn_group_gives_its_files_back_to_the_owner() -> None:
    gone = rights.withdrawn(family(), noted(GIVEN, "anna,ben"))
    assert "Take /srv/tank/photos from the group users, all files in it too" in gone
    command = gone["Take /srv/tank/photos from the group users, all files in it too"]
    assert "chown -RPh --from=:users :anna /srv/tank/photos" in command
    assert "Take anna out of the group users" in gone


def test_a_volume_that_is_not_listed_any_more_keeps_its_files_as_they_are() -> None:
    gone = rights.withdrawn(host(users=USERS), noted(GIVEN, "anna,ben"))
    assert not [says for says in gone if "/srv" in says]
    assert len([says for says in gone if "group users" in says]) == 2


def test_each_command_forgets_its_own_line_alone(tmp_path: Any) -> None:
    gone = rights.withdrawn(family(people=("anna",)), noted(GIVEN))
    record = tmp_path / "rights"
    record.write_text(GIVEN)
    for says, command in gone.items():
        subprocess.run(["sh", "-n"], input=command, text=True, check=True)
        if says.startswith("End"):
            subprocess.run(["sh", "-c", command.replace(rights.RECORD, str(record))], check=True)
    assert record.read_text() == GIVEN.replace("share photos ben\n", "")
