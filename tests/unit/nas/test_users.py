"""Accounts with their numbers, and passwords compared by their hashes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from homelab.model import Host
from homelab.nas import users
from homelab.nas.md4 import md4
from homelab.operations import users as operations
from homelab.probe import FileState, HostProbe, Questions, parse, script
from tests.sweeps import examples
from tests.unit.nas.shares import home, host

ANNA, BOB = {"uid": 2001, "password": "env:ANNA"}, {"uid": 2002}
FLAGS = "[U          ]"


def probe(accounts: str = "", passwords: str = "", record: str = "") -> HostProbe:
    """A host as it answers: who is there, what Samba keeps, whom we gave a password."""
    files = {users.RECORD: FileState("file", "0600", "root:root", users.record((), _noted(record)).sha256)}
    return HostProbe(
        output={"nas-accounts": accounts, "nas-passwords": passwords},
        text={users.RECORD: record} if record else {},
        files=files if record else {},
    )


def _noted(record: str) -> HostProbe:
    return HostProbe(text={users.RECORD: record})


def refused(nas: Host, accounts: str) -> list[str]:
    return [str(each) for each in users.problems(home(nas), nas, probe(accounts))]


# RFC 1320, A.5.
@pytest.mark.parametrize(
    ("message", "digest"),
    [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("a", "bde52cb31de33e46245e05fbdbd6fb24"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("message digest", "d9130a8164549fe818874806e1c7014b"),
        ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4"),
        ("1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4_is_that_of_its_rfc(message: str, digest: str) -> None:
    assert md4(message.encode()).hex() == digest


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to compare with")
@examples(0.2)
@given(st.binary(max_size=200))
def test_md4_is_openssls(message: bytes) -> None:
    asked = subprocess.run(
        ["openssl", "dgst", "-md4", "-provider", "legacy", "-provider", "default", "-r"],
        input=message,
        capture_output=True,
        check=False,
    )
    if asked.returncode:
        pytest.skip("openssl has no legacy provider")
    assert asked.stdout.split()[0].decode() == md4(message).hex()


def test_a_fresh_host_gets_each_account_with_a_group_of_its_number() -> None:
    assert users.commands(host(users={"anna": ANNA}), probe()) == (
        "groupadd --gid 2001 anna",
        "useradd --uid 2001 --gid anna --no-create-home --home-dir /nonexistent"
        " --shell /usr/sbin/nologin --comment 'NAS user' anna",
    )


def test_a_second_run_makes_nothing(host_double: Any) -> None:
    nas = host(users={"anna": ANNA})
    there = probe("user:anna:2001\ngroup:anna:2001:\n")
    assert refused(nas, "user:anna:2001\ngroup:anna:2001:\n") == []
    assert list(operations.accounts._inner(users.commands(nas, there))) == []
    assert host_double.noops == ["all accounts are there"]


def test_a_run_cut_after_the_group_goes_on_with_the_account() -> None:
    (left,) = users.commands(host(users={"anna": ANNA}), probe("group:anna:2001:\n"))
    assert left.startswith("useradd --uid 2001")


@pytest.mark.parametrize(
    ("accounts", "line"),
    [
        (
            "user:anna:1000\ngroup:anna:1000:\n",
            "nas: users.anna: this host has an account anna with uid 1000, not 2001;"
            " write uid 1000, or give the user another name",
        ),
        ("user:carl:2001\n", "nas: users.anna: uid 2001 is carl's on this host; write a uid that nobody has"),
        ("group:staff2:2001:\n", "nas: users.anna: gid 2001 is the group staff2's on this host; write a uid"),
        ("group:anna:999:\n", "nas: users.anna: this host has a group anna with gid 999, not 2001; give the user"),
    ],
)
def test_a_name_or_number_of_somebody_else_is_refused(accounts: str, line: str) -> None:
    (found,) = refused(host(users={"anna": ANNA}), accounts)
    assert found.startswith(line)


def test_an_account_that_is_there_keeps_its_own_groups_number() -> None:
    nas = host(users={"anna": ANNA})
    assert refused(nas, "user:anna:2001\ngroup:anna:2005:\n") == []
    assert users.commands(nas, probe("user:anna:2001\ngroup:anna:2005:\n")) == ()


def test_who_uses_a_volume_belongs_to_its_shared_group() -> None:
    nas = host(
        users={"anna": ANNA, "bob": BOB},
        volumes={"photos": {"pool": "tank", "owner": "anna", "group": "users"}},
        shares={"photos": {"volume": "photos", "smb": {"users": ["anna", "bob"]}}},
    )
    there = "user:anna:2001\nuser:bob:2002\ngroup:anna:2001:\ngroup:bob:2002:\n"
    assert users.commands(nas, probe(f"{there}group:users:100:anna\n")) == ("usermod --append --groups users bob",)
    assert users.commands(nas, probe(f"{there}group:users:100:bob,anna\n")) == ()


def test_a_group_that_is_somebodys_own_takes_nobody_else_in() -> None:
    nas = host(
        users={"anna": ANNA, "bob": BOB},
        volumes={"photos": {"pool": "tank", "owner": "anna"}, "films": {"pool": "tank", "group": "anna"}},
        shares={
            "photos": {"volume": "photos", "smb": {"users": ["bob"]}},
            "films": {"volume": "films", "smb": {"users": ["bob"]}},
        },
    )
    assert not [line for line in users.commands(nas, probe()) if "usermod" in line]


def test_a_volumes_group_has_to_be_there() -> None:
    nas = host(volumes={"photos": {"pool": "tank", "group": "family"}})
    (found,) = refused(nas, "")
    assert found == 'nas: volumes.photos.group: this host has no group family; write "users", which every Debian has'
    assert refused(nas, "group:family:3000:\n") == []


def test_the_look_asks_this_very_machine() -> None:
    nas = host(users={"root": {"uid": 4242}}, volumes={"photos": {"pool": "tank", "group": "daemon"}})
    asked = subprocess.run(
        ["sh", "-c", script(Questions(commands=users.questions(home(nas), nas).commands))],
        capture_output=True,
        text=True,
        check=True,
    )
    told = parse(asked.stdout.splitlines()).output["nas-accounts"].splitlines()
    assert "user:root:0" in told and "group:daemon:1:" in told


PASSWORDS = {"anna": SecretStr("correct horse"), "bob": SecretStr("pässwörd€")}


def stored(name: str, password: str, flags: str = FLAGS) -> str:
    return f"{name}:{users.digest(password)}:{flags}\n"


def test_a_password_that_samba_has_is_not_set_again(host_double: Any) -> None:
    there = probe(passwords=stored("anna", "correct horse") + stored("bob", "pässwörd€"), record="anna\nbob\n")
    assert list(operations.samba._inner(described(), PASSWORDS, there)) == []
    assert host_double.noops == ["Samba has these passwords"]


def described() -> Host:
    return host(users={"anna": ANNA, "bob": {**BOB, "password": "env:BOB"}})


def test_passwords_go_to_samba_through_stdin_alone(host_double: Any) -> None:
    commands = list(operations.samba._inner(described(), PASSWORDS, probe()))
    lines = [command.get_raw_value() for command in commands]
    assert [line for line in lines if line.startswith("smbpasswd")] == [
        "smbpasswd -s -a anna",
        "smbpasswd -s -a bob",
    ]
    # First whom they were for, so that a run cut in between still knows.
    assert users.RECORD in lines[0]
    assert commands[0].connector_arguments["_stdin"] == "anna\nbob\n"
    assert commands[1].connector_arguments["_stdin"] == "correct horse\ncorrect horse\n"
    assert not [line for line in lines if "correct" in line or "pässwörd" in line]


def test_another_password_is_set_anew(host_double: Any) -> None:
    there = probe(passwords=stored("anna", "before") + stored("bob", "pässwörd€"), record="anna\nbob\n")
    assert [c.get_raw_value() for c in operations.samba._inner(described(), PASSWORDS, there)] == [
        "smbpasswd -s -a anna"
    ]


def test_who_is_described_again_is_let_in_again(host_double: Any) -> None:
    flags = "[DU         ]"
    there = probe(passwords=stored("anna", "correct horse", flags) + stored("bob", "pässwörd€"), record="anna\nbob\n")
    assert [c.get_raw_value() for c in operations.samba._inner(described(), PASSWORDS, there)] == ["smbpasswd -e anna"]


def test_who_is_no_longer_described_is_shut_out_once_and_only_if_ours(host_double: Any) -> None:
    nas = host(users={"anna": ANNA})
    anna = {"anna": PASSWORDS["anna"]}
    kept = stored("anna", "correct horse") + stored("bob", "x") + stored("admin", "y")
    there = probe(passwords=kept, record="anna\nbob\n")
    assert [c.get_raw_value() for c in operations.samba._inner(nas, anna, there)] == ["smbpasswd -d bob"]
    shut = kept.replace(stored("bob", "x"), stored("bob", "x", "[DU         ]"))
    assert list(operations.samba._inner(nas, anna, probe(passwords=shut, record="anna\nbob\n"))) == []


def test_a_password_is_resolved_or_told_of_without_being_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANNA", "x" * 200)
    monkeypatch.delenv("BOB", raising=False)
    found, problems = operations.passwords(described(), tmp_path)
    assert found == {}
    assert [str(each) for each in problems] == [
        "nas: users.anna.password: is longer than the 127 characters that Windows takes; write a shorter one there",
        "nas: users.bob.password: env:BOB: the variable is not set; export BOB",
    ]
    monkeypatch.setenv("ANNA", "short")
    monkeypatch.setenv("BOB", "also")
    found, problems = operations.passwords(described(), tmp_path)
    assert (problems, found["anna"].get_secret_value(), "short" in repr(found)) == ([], "short", False)


@pytest.mark.skipif(shutil.which("pdbedit") is None, reason="no pdbedit: install samba for it")
def test_samba_keeps_what_we_compare_with(tmp_path: Path) -> None:
    """A real password database, under a name that this machine has an account for."""
    conf = tmp_path / "smb.conf"
    folders = "".join(
        f"{key} = {tmp_path}\n" for key in ("private dir", "lock directory", "state directory", "cache directory")
    )
    conf.write_text(f"[global]\n{folders}passdb backend = tdbsam:{tmp_path}/passdb.tdb\n", encoding="utf-8")
    password = "pässwörd€ 'x\" $y"
    added = subprocess.run(
        ["smbpasswd", "-c", str(conf), "-s", "-a", "daemon"],
        input=f"{password}\n{password}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if "root" in added.stderr and added.returncode:
        pytest.skip("smbpasswd wants root")
    assert added.returncode == 0, added.stderr
    ask = users._ASK_PASSWORDS.replace(users._PASSDB, f"{tmp_path}/passdb.tdb").replace(
        "pdbedit -L", f"pdbedit -s {conf} -L"
    )
    told = subprocess.run(["sh", "-c", ask], capture_output=True, text=True, check=True).stdout
    there = HostProbe(output={"nas-passwords": told})
    assert users.kept(there)["daemon"] == users.Kept(users.digest(password), disabled=False)
