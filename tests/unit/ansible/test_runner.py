"""Playbooks as they really run: ansible-runner in a child process, here over a host that is this machine."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from homelab.ansible import runner
from homelab.ansible.events import Event
from homelab.ansible.runner import Ansible, AnsibleError

ROOT = Path(__file__).parents[3]
LOCAL = {"all": {"hosts": {name: {"ansible_connection": "local"} for name in ("h1", "h2")}}}
SECRET = "correct-horse-battery"


def playbook(folder: Path, *tasks: str) -> Path:
    path = folder / "play.yml"
    body = "".join(textwrap.indent(textwrap.dedent(task), "    ") for task in tasks)
    path.write_text(f"- name: Try\n  hosts: all\n  gather_facts: false\n  tasks:\n{body}")
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private folders are made; nothing may stay there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_what_a_playbook_does_comes_as_events_by_host_and_nothing_stays(tmp_path: Path, temporary: Path) -> None:
    path = playbook(
        tmp_path,
        '- {name: Say, ansible.builtin.raw: "echo hello; echo {{ word }}"}\n',
        "- {name: Fail, ansible.builtin.raw: \"echo 'E: broken' >&2; exit 3\", when: inventory_hostname == 'h2'}\n",
    )
    modes: set[int] = set()
    told: list[Event] = []

    def look(event: Event) -> None:
        told.append(event)
        modes.update(stat.S_IMODE(each.stat().st_mode) for each in temporary.glob("homelab-ansible-*"))

    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {"all": {"hosts": {**LOCAL["all"]["hosts"], "h3": nobody}}}
    done = Ansible(hosts).run(path, variables={"word": "world"}, told=look)
    # One that was not reached outweighs one that failed.
    assert (done.rc, done.of("h1").said, done.of("h2").error) == (4, "hello\nworld\n", "E: broken")
    assert told[:-1] == list(done.events) and modes == {0o700}
    assert list(temporary.iterdir()) == []
    lost = done.of("h3")
    assert (lost.kind, lost.error) == ("unreachable", "connect to host 127.0.0.1 port 1: Connection refused")


def test_a_playbook_that_is_none_says_why(tmp_path: Path) -> None:
    path = tmp_path / "play.yml"
    path.write_text("- hosts: all\n  tasks:\n    - nonsense.module: {}\n")
    done = Ansible(LOCAL).run(path)
    assert done.rc != 0 and done.events == () and "nonsense.module" in done.said


# sudo as Ansible runs it: asks with the prompt it is given, and goes on when the answer is right.
_SUDO = """#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in -p) prompt=$2; shift 2 ;; -u) shift 2 ;; -*) shift ;; *) break ;; esac
done
printf %s "$prompt" >&2
read -r word
[ "$(printf %s "$word" | sha256sum | cut -d' ' -f1)" = HASH ] || { echo "Sorry, try again." >&2; exit 1; }
exec "$@"
"""


def test_a_password_reaches_sudo_and_is_in_no_argument_and_no_file(tmp_path: Path, temporary: Path) -> None:
    """Looked for while the playbook runs, in all that this user could read; h2 wants another one."""
    found: list[str] = []
    path = playbook(tmp_path, "- {name: Begin, ansible.builtin.raw: 'true'}\n", "- ansible.builtin.raw: 'sleep 1'\n")
    hosts = {}
    for name, right in (("h1", SECRET), ("h2", "another")):
        sudo = tmp_path / f"sudo-{name}"
        sudo.write_text(_SUDO.replace("HASH", hashlib.sha256(right.encode()).hexdigest()))
        sudo.chmod(0o755)
        hosts[name] = {"ansible_connection": "local", "ansible_become": True, "ansible_become_exe": str(sudo)}
        hosts[name]["ansible_become_user"] = "somebody"  # as oneself there would be nothing to become

    def look(event: Event) -> None:
        for each in temporary.rglob("*"):
            if each.is_file() and SECRET.encode() in each.read_bytes():
                found.append(str(each))
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    told = (process / name).read_bytes()
                except OSError:
                    continue
                if SECRET.encode() in told:
                    found.append(f"{process}/{name}")

    done = Ansible({"all": {"hosts": hosts}}, SecretStr(SECRET)).run(path, told=look)
    assert (done.rc, done.of("h1").kind, done.of("h2").kind) == (2, "ok", "failed"), done
    assert found == [] and SECRET not in str(done)
    assert SECRET not in repr(Ansible(LOCAL, SecretStr(SECRET)))


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ansible" else found(name))
    with pytest.raises(AnsibleError, match=r"pip install 'homelab\[ansible\]'"):
        Ansible(LOCAL).run(playbook(tmp_path, "- ansible.builtin.raw: 'true'\n"))


def test_a_playbook_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"nowhere\.yml: there is no such playbook"):
        Ansible(LOCAL).run(tmp_path / "nowhere.yml")


def test_a_child_that_dies_is_one_line(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Before the one that is installed.
    (tmp_path / "homelab.py").touch()
    monkeypatch.setattr(
        runner.Ansible, "_environment", lambda self, folder: {"PATH": os.defpath, "PYTHONPATH": str(tmp_path)}
    )
    with pytest.raises(AnsibleError, match=r"ansible-runner ended with exit 1: .*homelab"):
        Ansible(LOCAL).run(playbook(tmp_path, "- ansible.builtin.raw: 'true'\n"))
    assert list(temporary.iterdir()) == []


# Where the tests run in the background an interrupt is ignored, unless somebody asks for it.
_CUT = """
import signal
import sys
from pathlib import Path
from homelab.ansible.runner import Ansible
signal.signal(signal.SIGINT, signal.default_int_handler)
Ansible({"all": {"hosts": {"h1": {"ansible_connection": "local"}}}}).run(
    Path(sys.argv[1]), told=lambda event: print(event.kind, flush=True)
)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.broad)])
def test_an_interrupt_ends_ansible_and_leaves_nothing(tmp_path: Path, temporary: Path, number: int) -> None:
    mark = tmp_path / "began"
    path = playbook(tmp_path, f'- {{name: Long, ansible.builtin.raw: "touch {mark}; exec sleep 4711"}}\n')
    process = subprocess.Popen(
        [sys.executable, "-c", _CUT, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not mark.exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    try:
        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
    assert process.returncode != 0 and list(temporary.iterdir()) == []
    ends(path)


def ends(path: Path) -> None:
    """Wait until no process has a playbook in its arguments."""

    def alive() -> list[bytes]:
        found = []
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.append(each.read_bytes())
            except OSError:
                continue
        return [each for each in found if str(path).encode() in each]

    end = time.monotonic() + 30
    while alive():
        assert time.monotonic() < end, "ansible-playbook is still running"
        time.sleep(0.1)


# Python runs it first of all, here in the child alone: its clock is an hour ahead once a file is there.
_CLOCK = """
import os, sys, time
if "homelab.ansible.child" in sys.orig_argv:
    real = time.time
    time.time = lambda: real() + 3600 * os.path.exists(OVER)
"""


@pytest.mark.broad
def test_a_playbook_whose_time_is_over_is_ended_and_tells_who_had_answered(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = tmp_path / "over"
    (tmp_path / "sitecustomize.py").write_text(_CLOCK.replace("OVER", repr(str(over))))
    monkeypatch.syspath_prepend(tmp_path)

    def told(event: Event) -> None:
        if (event.host, event.kind) == ("h1", "ok"):
            over.touch()

    task = '- {name: Say, ansible.builtin.raw: "[ {{ inventory_hostname }} = h1 ] || exec sleep 4711; echo yes"}\n'
    path = playbook(tmp_path, task)
    done = Ansible(LOCAL).run(path, within=600, told=told)
    assert done.late and done.rc != 0 and done.of("h2") is None
    assert done.of("h1").said == "yes\n"
    ends(path)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("told", "here", "wanted"),
    [
        (None, True, "here"),
        pytest.param(None, False, "beside", marks=pytest.mark.broad),
        # From where the person is, not from where the playbook is.
        pytest.param("own.cfg", True, "own", marks=pytest.mark.broad),
        ("own.cfg", True, None),
    ],
)
def test_what_a_person_has_set_for_ansible_counts_for_their_own_playbooks_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, here: bool, wanted: str | None
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "books").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder, name, word in (
        ("here", "ansible.cfg", "here"),
        ("here", "own.cfg", "own"),
        ("books", "ansible.cfg", "beside"),
    ):
        if (folder, name) != ("here", "ansible.cfg") or here:
            (tmp_path / folder / name).write_text(f"[defaults]\nroles_path = /of/{word}\n")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environ |= {"ANSIBLE_CALLBACKS_ENABLED": "x", "PYINFRA_YES": "1"} | ({"ANSIBLE_CONFIG": told} if told else {})
    task = (
        "- ansible.builtin.raw: "
        "\"echo roles {{ lookup('ansible.builtin.config', 'DEFAULT_ROLES_PATH') }}; env | sed 's/^/env /'\"\n"
    )
    path = playbook(tmp_path / "books", task)
    done = Ansible(LOCAL, own=wanted is None, environ=environ).run(path, limit="h1")
    said = done.of("h1").said
    (roles,) = [line for line in said.splitlines() if line.startswith("roles ")]
    assert (f"/of/{wanted}" in roles) if wanted else ("/of/" not in roles)
    assert ("env ANSIBLE_CALLBACKS_ENABLED=x" in said) is (wanted is not None)
    assert "PYINFRA_" not in said and "ANSIBLE_HOST_KEY_CHECKING=True" in said


def test_a_configuration_that_anybody_may_have_put_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ansible skips it in silence; handed to it as ANSIBLE_CONFIG, it would run what it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    tmp_path.chmod(0o1777)
    path = playbook(tmp_path, "- ansible.builtin.raw: echo yes\n")
    environ = {key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"}
    with pytest.raises(AnsibleError) as told:
        Ansible(LOCAL, own=False, environ=environ).run(path, limit="h1")
    assert str(told.value) == (
        f"{tmp_path}/ansible.cfg: anybody may write to its folder, so it may be anybody's; run it from another folder, "
        f"or say that it is yours: ANSIBLE_CONFIG={tmp_path}/ansible.cfg"
    )
    for known in ({"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}, {"ANSIBLE_CONFIG": "~nobody-of-that-name/cfg"}):
        done = Ansible(LOCAL, own=False, environ=environ | known).run(path, limit="h1")
        assert done.of("h1") is not None or done.said


def test_what_a_killed_run_has_left_is_removed_by_the_next(tmp_path: Path, temporary: Path) -> None:
    for name in ("homelab-ansible-killed", "homelab-ansible-running", "homelab-ansible-new", "else"):
        (temporary / name / "artifacts").mkdir(parents=True)
        lock = temporary / name / "lock"
        lock.touch()
        if name != "homelab-ansible-new":
            os.utime(lock, (0, 0))
    with (temporary / "homelab-ansible-running" / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        Ansible(LOCAL).run(playbook(tmp_path, "- ansible.builtin.raw: echo yes\n"), limit="h1")
    assert {each.name for each in temporary.iterdir()} == {"homelab-ansible-running", "homelab-ansible-new", "else"}
