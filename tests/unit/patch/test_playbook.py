"""`deploys/playbooks/patch.yml` and its scripts, run here with an apt-get that says what apt-get was seen to say."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from homelab.ansible.inventory import inventory
from homelab.ansible.runner import Ansible
from homelab.model import Host
from homelab.patch.by_ansible import PLAYBOOK, AnsibleHosts
from homelab.patch.hosts import Package, Seen, own_boot, parse
from homelab.patch.rolling import HostError
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


def mount_unit(where: str, state: str = "active", **more: str) -> str:
    """A mount unit as systemctl shows it, by default one that /etc/fstab has described."""
    name = where.strip("/").replace("/", "-") or "-"
    shown = {"Where": where, "LoadState": "loaded", "ActiveState": state, "WantedBy": "", "RequiredBy": ""}
    shown |= {"FragmentPath": f"/run/systemd/generator/{name}.mount", "RequiredBy": "local-fs.target"}
    shown |= {"ConditionResult": "yes" if state == "active" else "no", "ConditionTimestampMonotonic": "0"}
    return "\n".join(f"{key}={value}" for key, value in {**shown, **more}.items())


# The pod's volume is the kernel's word only, as no unit has it mounted.
MOUNTS = (
    mount_unit("/"),
    mount_unit("/srv/tank", FragmentPath="/etc/systemd/system/srv-tank.mount"),
    mount_unit("/srv/usb", "inactive", RequiredBy="", WantedBy="local-fs.target"),
    mount_unit("/srv/broken", "failed"),
    mount_unit("/srv/slow", "activating"),
    mount_unit("/mnt/noauto", RequiredBy=""),
    mount_unit("/mnt/off", "inactive", RequiredBy=""),
    mount_unit("/mnt/masked", "inactive", LoadState="masked"),
    mount_unit("/var/lib/machines", "inactive", WantedBy="machines.target", ConditionTimestampMonotonic="71"),
    mount_unit("/snap/core22/1", WantedBy="multi-user.target"),
    mount_unit("/dev/hugepages", FragmentPath="/lib/systemd/system/dev-hugepages.mount"),
    mount_unit("/var/lib/kubelet/pods/1/volumes/x", FragmentPath="", RequiredBy=""),
)
# Debian 12's systemctl.
SYSTEMCTL = """\
#!/bin/sh
case "$*" in
show*--all*mount*) cat <<'END'
MOUNTS
END
;;
is-system-running) echo degraded ;;
*--failed*) echo "nfs-server.service loaded failed failed NFS server" ;;
*homelab-scrub*) echo "homelab-scrub@tank.service loaded activating start start Scrub" ;;
"show -p LoadState --value k3s-agent") echo loaded ;;
"show -p ActiveState --value k3s-agent") echo activating ;;
"show -p Job --value k3s-agent") echo 4711 ;;
"show -p ExecMainStartTimestamp --value k3s-agent") [ "$TZ" = UTC ] && echo Thu 2026-01-01 00:00:00 UTC ;;
esac
""".replace("MOUNTS", "\n\n".join(MOUNTS))
INTERRUPTED = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem."


@pytest.mark.parametrize("name", ["look.sh", "upgrade.sh", "unit.sh", "reboot.sh"])
def test_the_scripts_are_sound(name: str) -> None:
    # $lists and $upgrade are said before them.
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
    assert isinstance(seen["h1"], Seen) and seen["h1"].boot == own_boot() != ""


@pytest.mark.parametrize("called", ["nas", "attic"])
def test_an_act_is_on_no_other_host_than_the_one_that_is_named(called: str) -> None:
    """To Ansible a name is first of all a group's."""
    hosts = [Host(name=name, nas=True, address=f"192.0.2.3{n}") for n, name in enumerate(("nas", "attic"))]
    made = inventory(hosts, ROOT)
    for each in made["all"]["hosts"].values():
        each |= {"ansible_connection": "local", "ansible_become": False}
    done = Ansible(made).only([called]).run(ROOT / PLAYBOOK, variables={"act": "look", "lists": "none"})
    assert {event.host for event in done.events} - {""} == {called}


def command(tmp_path: Path, name: str, script: str) -> None:
    """Put a command of the test's own before the machine's."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(tmp_path: Path, script: str) -> str:
    done = subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def look(
    tmp_path: Path,
    lists: str,
    *,
    fails: str = "",
    running: str = "6.1.0-30-amd64",
    contained: bool = False,
    systemctl: str = SYSTEMCTL,
) -> Seen:
    """A look with an apt-get that fails where it is told to, and a folder of the test's in the place of /."""
    simulated = tmp_path / "simulated"
    simulated.write_text(SIMULATED)
    cases = [f'*" {fails} "*) printf "%s\\n" "{INTERRUPTED}" >&2; exit 100 ;;'] if fails else []
    cases.append(f'*" upgrade "*) cat {simulated} ;;')
    command(tmp_path, "apt-get", "\n".join([f'echo "$*" >>{tmp_path}/asked', 'case "$* " in', *cases, "esac"]))
    command(tmp_path, "systemctl", systemctl)
    command(tmp_path, "uname", f"echo {running}")
    command(tmp_path, "systemd-detect-virt", f"exit {0 if contained else 1}")
    script = (FILES / "look.sh").read_text()
    for path in ("/boot/vmlinuz-", "/lib/modules/", "/run/reboot-required", "/proc/[0-9]*/maps"):
        assert path in script
        script = script.replace(path, f"{tmp_path}{path}")
    return parse(run(tmp_path, f"lists={lists}\n{script}"))


@pytest.mark.parametrize(
    ("running", "kernels", "newer"),
    [
        ("6.1.0-30-amd64", ["6.1.0-30-amd64", "6.1.0-9-amd64"], ""),
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-30-amd64"], "6.1.0-30-amd64"),
        ("6.1.0-30-amd64", ["6.1.0-31-rt-amd64", "6.1.0-31-cloud-amd64", "6.1.0-31-arm64"], ""),
        ("6.1.0-30-rt-amd64", ["6.1.0-31-amd64", "6.1.0-31-rt-amd64"], "6.1.0-31-rt-amd64"),
        ("6.1.0-30-amd64", ["6.12.38+deb13-amd64"], "6.12.38+deb13-amd64"),
        ("6.12.9+deb13-amd64", ["6.12.9+deb13-amd64", "6.12.38+deb13-amd64"], "6.12.38+deb13-amd64"),
        ("6.8.0-45-generic", ["6.8.0-45-generic", "6.8.0-100-generic"], "6.8.0-100-generic"),
        # Both of a Raspberry Pi's are installed, and one is booted.
        ("6.6.31+rpt-rpi-v8", ["6.6.31+rpt-rpi-v8", "6.12.20+rpt-rpi-2712"], ""),
        ("6.6.31+rpt-rpi-v8", ["6.12.20+rpt-rpi-v8", "6.12.20+rpt-rpi-2712"], "6.12.20+rpt-rpi-v8"),
        ("6.1.0-30-amd64", [], ""),
    ],
)
def test_a_newer_kernel_asks_for_a_reboot_where_nobody_else_says_so(
    tmp_path: Path, running: str, kernels: list[str], newer: str
) -> None:
    (tmp_path / "boot").mkdir()
    for kernel in kernels:
        (tmp_path / "boot" / f"vmlinuz-{kernel}").touch()
    # Modules that are left behind boot nothing, where kernels are told by /boot.
    if kernels:
        (tmp_path / "lib" / "modules" / running.replace("6.", "9.", 1) / "kernel").mkdir(parents=True)
    seen = look(tmp_path, "none", running=running)
    assert (seen.reboot, seen.because) == ((True, (f"linux-image-{newer}",)) if newer else (False, ()))
    (tmp_path / "bin" / "systemd-detect-virt").unlink()
    assert not look(tmp_path, "none", running=running, contained=True).reboot


def test_a_kernel_that_only_its_modules_tell(tmp_path: Path) -> None:
    for kernel in ("6.1.21-v8+", "6.1.77-v8+"):
        (tmp_path / "lib" / "modules" / kernel / "kernel").mkdir(parents=True)
    (tmp_path / "lib" / "modules" / "6.1.99-v8+" / "updates").mkdir(parents=True)
    assert look(tmp_path, "none", running="6.1.21-v8+").because == ("linux-image-6.1.77-v8+",)


def test_a_reboot_that_is_asked_for_has_each_reason_once(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "reboot-required").touch()
    assert (look(tmp_path, "none").reboot, look(tmp_path, "none").because) == (True, ())
    (tmp_path / "run" / "reboot-required.pkgs").write_text("linux-image-6.1.0-31-amd64\nlibc6\nlibc6\n")
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-6.1.0-31-amd64").touch()
    assert look(tmp_path, "none").because == ("libc6", "linux-image-6.1.0-31-amd64")


# systemd as far as a unit's output goes: the file, or with --pipe the connection; SIGPIPE is ignored as in a service.
SYSTEMD_RUN = """\
#!/bin/sh
[ ! -e BASE/refuses ] || { echo "Failed to start transient service unit" >&2; exit 1; }
out=
while [ "$1" != /bin/sh ]; do
  case "$1" in StandardOutput=file:*) out=${1#StandardOutput=file:} ;; esac
  shift
done
trap '' PIPE
if [ -n "$out" ]; then setsid "$@" >>"$out" 2>&1 </dev/null & else setsid "$@" </dev/null & fi
wait $!
"""


def apart(tmp_path: Path, upgrade: str) -> str:
    """The upgrade's unit as the playbook has it begun, with another script in it and a folder of the test's."""
    (play,) = yaml.safe_load((ROOT / PLAYBOOK).read_text())
    (task,) = [task for task in play["tasks"] if task["when"] == 'act == "upgrade"']
    assert "unit.sh" in task["ansible.builtin.raw"] and "upgrade.sh" in task["vars"]["upgrade"]
    command(tmp_path, "systemd-run", SYSTEMD_RUN.replace("BASE", str(tmp_path)))
    command(tmp_path, "systemctl", f"[ -e {tmp_path}/active ]")
    script = (FILES / "unit.sh").read_text()
    assert "/run/homelab" in script
    return f"upgrade={shlex.quote(upgrade)}\n{script.replace('/run/homelab', f'{tmp_path}/homelab')}"


def test_an_upgrade_goes_on_when_its_connection_is_cut(tmp_path: Path) -> None:
    """A package's script that says a word must not find that nobody listens."""
    upgrade = f"set -e; touch {tmp_path}/began; until [ -e {tmp_path}/cut ]; do sleep 0.1; done\n"
    upgrade += f"echo setting up; touch {tmp_path}/configured"
    process = subprocess.Popen(
        ["sh", "-c", apart(tmp_path, upgrade)],
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    appears(tmp_path / "began")
    assert process.stdout is not None
    process.stdout.close()
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
    (tmp_path / "cut").touch()
    appears(tmp_path / "configured")
    assert (tmp_path / "homelab" / "patch.log").read_text() == "setting up\n"


def appears(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.05)


def test_what_an_upgrade_said_and_its_end_come_back_and_its_log_is_for_root_alone(tmp_path: Path) -> None:
    (tmp_path / "homelab").mkdir()
    log = tmp_path / "homelab" / "patch.log"
    log.write_text("of the last time\n")
    log.chmod(0o644)
    done = subprocess.run(
        ["sh", "-c", apart(tmp_path, "echo Unpacking; echo 'E: broken' >&2; exit 100")],
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (100, "Unpacking\nE: broken\n")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("active", "E: an upgrade is still running on this host, as homelab-patch.service"),
        ("refuses", "Failed to start transient service unit"),
    ],
)
def test_an_upgrade_that_cannot_be_begun_says_why(tmp_path: Path, mark: str, said: str) -> None:
    (tmp_path / mark).touch()
    done = subprocess.run(
        ["sh", "-c", apart(tmp_path, "echo never")],
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", said)


def test_the_upgrade_through_ansible_is_one_argument_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the playbook quotes it; and nothing in it is for systemd to replace (systemd.service(5), command lines)."""
    command(tmp_path, "systemctl", "exit 1")
    command(tmp_path, "systemd-run", f'for last; do :; done; printf %s "$last" >{tmp_path}/script; exit 3')
    shutil.copytree(ROOT / PLAYBOOK.parent, tmp_path / "playbooks")
    unit = tmp_path / "playbooks" / "files" / "unit.sh"
    unit.write_text(unit.read_text().replace("/run/homelab", f"{tmp_path}/homelab"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    local = {"ansible_connection": "local", "ansible_become": False}
    hosts = AnsibleHosts(Ansible({"all": {"hosts": {"h1": local}}}), tmp_path / "playbooks" / PLAYBOOK.name)
    with pytest.raises(HostError, match="its packages are not upgraded"):
        hosts.upgrade("h1")
    script = (tmp_path / "script").read_text()
    assert script == (FILES / "upgrade.sh").read_text().rstrip("\n")
    assert "${" not in script and "$$" not in script
    # With "a" its hook restarts what has an old library, and that may be this very unit.
    assert "NEEDRESTART_MODE=l\n" in script


def test_what_there_is_to_upgrade(tmp_path: Path) -> None:
    seen = look(tmp_path, "refresh")
    assert (seen.packages, seen.kept, seen.broken) == ((Package("tool", "1.0", "2.0"),), ("held",), ())
    update, check, simulated = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith("-q update") and check.endswith("-q check") and " -s " in simulated
    assert "Dir::State::lists" not in update


def test_units_and_mounts(tmp_path: Path) -> None:
    seen = look(tmp_path, "none")
    assert seen.mounts == {"/", "/srv/tank"}
    assert seen.unmounted == ("/srv/broken", "/srv/usb")
    assert (seen.system, seen.failed, seen.busy) == (
        "degraded",
        frozenset({"nfs-server.service"}),
        ("homelab-scrub@tank.service",),
    )
    assert (seen.unit, seen.queued, seen.started) == ("activating", True, datetime(2026, 1, 1, tzinfo=UTC))


MAPPED = "7f1ac0000000-7f1ac0020000 r-xp 00001000 08:01 1234                       {}\n"


def test_services_that_run_what_was_upgraded(tmp_path: Path) -> None:
    ssl = "/usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)"
    processes = {
        1: (ssl, "0::/init.scope"),
        11: ("/usr/sbin/smbd (deleted)", "0::/system.slice/smbd.service"),
        12: (ssl, "0::/system.slice/system-getty.slice/getty@tty1.service"),
        13: (ssl, "1:name=systemd:/system.slice/ssh.service\n0::/system.slice/ssh.service"),
        14: ("/usr/lib/x86_64-linux-gnu/libssl.so.3", "0::/system.slice/cron.service"),
        15: ("/memfd:pulseaudio (deleted)", "0::/system.slice/sound.service"),
        16: (ssl, "0::/user.slice/user-1000.slice/user@1000.service/app.slice"),
        17: (ssl, "0::/kubepods/besteffort/pod1/2"),
        18: (ssl, "0::/system.slice/docker-0a1b.scope"),
    }
    for number, (file, group) in processes.items():
        folder = tmp_path / "proc" / str(number)
        folder.mkdir(parents=True)
        (folder / "maps").write_text(MAPPED.format("/usr/bin/other") + MAPPED.format(file))
        (folder / "cgroup").write_text(f"{group}\n")
    assert look(tmp_path, "none").old == ("getty@tty1.service", "smbd.service", "ssh.service")
    assert look(tmp_path, "refresh").old == ()


@pytest.mark.parametrize(
    ("jobs", "system"),
    [
        (["141 homelab-backup@nightly.service start running"], "running"),
        (["141 homelab-backup@off.service start running", "98 multi-user.target start waiting"], "starting"),
        (["141 homelab-backup@off.service start waiting", "55 srv-tank.mount start running"], "starting"),
        ([], "starting"),
    ],
)
def test_a_backup_that_was_missed_does_not_keep_a_host_from_having_started(
    tmp_path: Path, jobs: list[str], system: str
) -> None:
    queue = "\n".join(jobs or ["No jobs running."])
    said = SYSTEMCTL.replace("echo degraded ;;", f"echo starting ;;\nlist-jobs*) echo '{queue}' ;;")
    assert look(tmp_path, "none", systemctl=said).system == system


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
