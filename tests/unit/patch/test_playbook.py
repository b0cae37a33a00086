"""`deploys/playbooks/patch.yml` and its scripts, run here with an apt-get that says what apt-get was seen to say."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from homelab.ansible.inventory import inventory
from homelab.ansible.runner import Ansible
from homelab.model import Host
from homelab.patch.by_ansible import PLAYBOOK, AnsibleHosts
from homelab.patch.hosts import Package, Seen, parse
from tests.sound_shell import assert_sound

ROOT = Path(__file__).parents[3]
FILES = ROOT / "deploys" / "playbooks" / "files"
# Debian 12, apt 2.6, with the tool of a local archive and a package that is pinned down.
SIMULATED = """\
NOTE: This is only a simulation!
Reading package lists...
The following packages have been kept back:
   held (1.0 => 2.0)
The following packages will be upgraded:
   tool (1.0 => 2.0)
1 upgraded, 0 newly installed, 0 to remove and 1 not upgraded.
Inst tool [1.0] (2.0 localhost [all])
Conf tool (2.0 localhost [all])
"""
# Debian 12's systemctl. The pod's volume is the kernel's word only, as no unit has it mounted.
SYSTEMCTL = """\
#!/bin/sh
case "$*" in
*mount*) cat <<'END'
Where=/
ActiveState=active
FragmentPath=/run/systemd/generator/-.mount

Where=/srv/tank
ActiveState=active
FragmentPath=/etc/systemd/system/srv-tank.mount

Where=/mnt/off
ActiveState=inactive
FragmentPath=/run/systemd/generator/mnt-off.mount

Where=/dev/hugepages
ActiveState=active
FragmentPath=/lib/systemd/system/dev-hugepages.mount

Where=/var/lib/kubelet/pods/1/volumes/x
ActiveState=active
FragmentPath=
END
;;
is-system-running) echo degraded ;;
*--failed*) echo "nfs-server.service loaded failed failed NFS server" ;;
*homelab-scrub*) echo "homelab-scrub@tank.service loaded activating start start Scrub" ;;
"show -p LoadState --value k3s-agent") echo loaded ;;
"show -p ActiveState --value k3s-agent") echo activating ;;
"show -p Job --value k3s-agent") echo 4711 ;;
"show --timestamp=unix -p ExecMainStartTimestamp --value k3s-agent") echo @1767225600 ;;
esac
"""
INTERRUPTED = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem."


@pytest.mark.parametrize("name", ["look.sh", "upgrade.sh", "reboot.sh"])
def test_the_scripts_are_sound(name: str) -> None:
    # $lists is said before it.
    assert_sound((FILES / name).read_text(), "SC2154")


def test_the_playbook_has_the_acts_and_no_other() -> None:
    (play,) = yaml.safe_load((ROOT / PLAYBOOK).read_text())
    assert [task["when"] for task in play["tasks"]] == ['act == "look"', 'act == "upgrade"', 'act == "reboot"']


def test_a_host_is_looked_at_through_ansible() -> None:
    """As this machine is, whatever that be; sudo is not needed for what is read."""
    local = {"ansible_connection": "local", "ansible_become": False}
    hosts = AnsibleHosts(Ansible({"all": {"hosts": {"h1": local, "h2": local}}}), ROOT / PLAYBOOK)
    seen = hosts.look(["h1", "h2"], "none")
    assert list(seen) == ["h1", "h2"] and seen["h1"] == seen["h2"]
    assert isinstance(seen["h1"], Seen) and seen["h1"].boot


def test_an_act_on_a_host_called_nas_is_not_one_on_every_nas() -> None:
    """To Ansible a name is first of all a group's."""
    hosts = [Host(name=name, nas=True, address=f"192.0.2.3{n}") for n, name in enumerate(("nas", "attic"))]
    made = inventory(hosts, ROOT, groups=False)
    for each in made["all"]["hosts"].values():
        each |= {"ansible_connection": "local", "ansible_become": False}
    done = Ansible(made).run(ROOT / PLAYBOOK, variables={"act": "look", "lists": "none"}, limit="nas")
    assert {event.host for event in done.events} - {""} == {"nas"}


def look(tmp_path: Path, lists: str, *, fails: str = "") -> Seen:
    """A look with an apt-get that fails where it is told to."""
    simulated = tmp_path / "simulated"
    simulated.write_text(SIMULATED)
    fake = tmp_path / "bin" / "apt-get"
    fake.parent.mkdir()
    cases = [f'*" {fails} "*) printf "%s\\n" "{INTERRUPTED}" >&2; exit 100 ;;'] if fails else []
    cases.append(f'*" upgrade "*) cat {simulated} ;;')
    fake.write_text("\n".join(["#!/bin/sh", f'echo "$*" >>{tmp_path}/asked', 'case "$* " in', *cases, "esac", ""]))
    fake.chmod(0o755)
    (fake.parent / "systemctl").write_text(SYSTEMCTL)
    (fake.parent / "systemctl").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", f"lists={lists}\n{(FILES / 'look.sh').read_text()}"],
        env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return parse(done.stdout)


def test_what_there_is_to_upgrade(tmp_path: Path) -> None:
    seen = look(tmp_path, "refresh")
    assert (seen.packages, seen.kept, seen.broken) == ((Package("tool", "1.0", "2.0"),), ("held",), ())
    update, check, simulated = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith("-q update") and check.endswith("-q check") and " -s " in simulated
    assert "Dir::State::lists" not in update


def test_units_and_mounts(tmp_path: Path) -> None:
    seen = look(tmp_path, "none")
    assert seen.mounts == {"/", "/srv/tank"}
    assert (seen.system, seen.failed, seen.busy) == (
        "degraded",
        {"nfs-server.service"},
        ("homelab-scrub@tank.service",),
    )
    assert (seen.unit, seen.queued, seen.started) == ("activating", True, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_dry_look_goes_by_lists_of_its_own_and_leaves_none(tmp_path: Path) -> None:
    before = set(Path("/var/tmp").glob("homelab-patch.*"))
    assert look(tmp_path, "private").packages == (Package("tool", "1.0", "2.0"),)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 3 and all("Dir::State::lists=/var/tmp/homelab-patch." in line for line in asked)
    assert set(Path("/var/tmp").glob("homelab-patch.*")) == before


def test_packages_are_not_asked_for_between_the_acts(tmp_path: Path) -> None:
    assert look(tmp_path, "none").packages == () and not (tmp_path / "asked").exists()


@pytest.mark.parametrize("fails", ["update", "check", "upgrade"])
def test_an_apt_that_cannot_go_on_says_why(tmp_path: Path, fails: str) -> None:
    assert look(tmp_path, "refresh", fails=fails).broken == (f"apt-get {fails}: {INTERRUPTED}",)
