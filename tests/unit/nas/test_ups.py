"""The UPS: who hears of it, who goes down when, and that no password is where it should not be."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.model import Home, Host
from homelab.nas import ups, watch
from homelab.nas.ups import Passwords
from homelab.operations import power
from homelab.operations.survey import Survey
from homelab.probe import FileState, HostProbe, UnitState
from tests.nas_host import NasHost, nas
from tests.unit.nas.shares import home, host

PASSWORDS = Passwords("geheim-primary", "geheim-node")
RUNNING = UnitState(load="loaded", active="active", enabled="enabled")


def node(name: str, role: str | None = "agent") -> Host:
    return Host.model_validate({"name": name, "role": role, "address": f"192.168.1.{10 + len(name)}"})


def powered(**said: Any) -> Host:
    return host(ups=said)


NAS = powered()
A, B = "192.0.2.11", "192.0.2.12"
S1, A1 = node("s1", "server"), node("a1x")
HOME = home(NAS, S1, A1)


def by_path(files: Any) -> dict[str, Any]:
    return {each.path: each for each in files}


def test_all_nodes_follow_the_ups_unless_some_are_named() -> None:
    assert [each.name for each in HOME.followers(NAS)] == ["s1", "a1x"]
    assert HOME.followed(S1) is NAS
    assert HOME.followed(NAS) is None
    named = powered(nodes=["s1"])
    assert [each.name for each in home(named, S1, A1).followers(named)] == ["s1"]
    assert home(host(), S1).followed(S1) is None


def test_the_nas_is_primary_and_tells_only_those_who_follow() -> None:
    files = by_path(ups.primary(HOME, NAS, HostProbe(), PASSWORDS))
    assert files[ups.CONF].content.endswith("MODE=netserver\n")
    assert "LISTEN 127.0.0.1 3493\nLISTEN 192.168.1.31 3493\n" in files[ups.SERVER].content
    monitor = files[ups.MONITOR].content
    assert "MONITOR ups@127.0.0.1 1 homelab_primary geheim-primary primary\n" in monitor
    assert f'SHUTDOWNCMD "/usr/local/lib/homelab/ups-shutdown; {ups.POWEROFF}"\n' in monitor
    # A flag that outlives its boot would let the next ordinary halt cut the power.
    assert "POWERDOWNFLAG /run/" in monitor
    assert files[ups.SETTINGS].content == (
        "wait=60\nnodes=192.168.1.12 192.168.1.13\nlogins=s1=192.168.1.12 a1x=192.168.1.13\n"
    )
    alone = by_path(ups.primary(home(NAS), NAS, HostProbe(), PASSWORDS))
    assert "192.168" not in alone[ups.SERVER].content


def test_a_node_is_secondary_and_may_order_nothing() -> None:
    files = by_path(ups.secondary(NAS, PASSWORDS.node))
    assert files[ups.CONF].content.endswith("MODE=netclient\n")
    monitor = files[ups.MONITOR].content
    assert "MONITOR ups@192.168.1.31 1 homelab_node geheim-node secondary\n" in monitor
    assert f'SHUTDOWNCMD "{ups.POWEROFF}"\n' in monitor
    assert "POWERDOWNFLAG" not in monitor
    assert "primary" not in "".join(each.content for each in files.values())


def test_passwords_are_for_root_and_nut_alone() -> None:
    made = (*ups.primary(HOME, NAS, HostProbe(), PASSWORDS), *ups.secondary(NAS, PASSWORDS.node))
    secret = [each for each in made if "geheim" in each.content]
    assert {each.path for each in secret} == {ups.USERS, ups.MONITOR}
    assert {(each.mode, each.owner) for each in secret} == {("0640", "root:nut")}
    assert "geheim" not in repr((made, PASSWORDS))


def test_further_keys_go_to_ups_conf_as_nut_spells_them() -> None:
    nas_ = powered(driver="snmp-ups", port="192.168.1.9", options={"community": "a b", "ignorelb": True, "x": 5})
    text = by_path(ups.primary(home(nas_), nas_, HostProbe(), PASSWORDS))[ups.DRIVER].content
    assert text.endswith(
        '[ups]\n\tdriver = snmp-ups\n\tport = 192.168.1.9\n\tcommunity = "a b"\n\tignorelb\n\tx = "5"\n'
    )
    assert "nut-snmp" in ups.packages(home(nas_), nas_)


def standing(files: Any, **more: Any) -> HostProbe:
    """A host on which these files stand and everything runs with them."""
    content = by_path(files)

    def noted(*names: str) -> str:
        return hashlib.sha256("".join(content[name].content for name in names if name in content).encode()).hexdigest()

    server = noted(ups.CONF, ups.DRIVER, ups.SERVER, ups.USERS)
    told = f"==> nut-server.loaded <==\n{server}\n\n==> nut-monitor.loaded <==\n{noted(ups.CONF, ups.MONITOR)}\n"
    return HostProbe(
        text={name: each.content for name, each in content.items()},
        output={"nas_ups_loaded": told},
        units=dict.fromkeys((ups.DRIVER_UNIT, *ups.boot_units(NAS)), RUNNING),
        **more,
    )


def test_a_second_run_finds_the_passwords_and_restarts_nothing() -> None:
    files = ups.primary(HOME, NAS, HostProbe(), PASSWORDS)
    probe = standing(files)
    assert ups.known(HOME, NAS, {"nas": probe}) == ("geheim-primary", "geheim-node")
    again = ups.primary(HOME, NAS, probe, PASSWORDS)
    assert not ups.restart(again, ups.SERVER_UNIT, probe)
    assert not ups.restart(again, ups.MONITOR_UNIT, probe)
    assert ups.driver_runs(again, probe) and ups.at_boot(NAS, probe)
    other = powered(options={"vendorid": "051d"})
    changed = ups.primary(home(other), other, probe, PASSWORDS)
    assert ups.restart(changed, ups.SERVER_UNIT, probe) and not ups.driver_runs(changed, probe)
    assert not ups.restart(changed, ups.MONITOR_UNIT, probe)


def test_what_runs_with_unknown_settings_is_restarted() -> None:
    files = ups.primary(HOME, NAS, HostProbe(), PASSWORDS)
    assert ups.restart(files, ups.SERVER_UNIT, HostProbe()) and ups.restart(files, ups.MONITOR_UNIT, HostProbe())


def test_what_fails_is_started_again_on_every_host_until_it_runs() -> None:
    for files, names in (
        (ups.primary(HOME, NAS, HostProbe(), PASSWORDS), ("nut-server", "nut-monitor")),
        (ups.secondary(NAS, PASSWORDS.node), ("nut-monitor",)),
    ):
        for name in names:
            laid = by_path(files)[f"/etc/systemd/system/{name}.service.d/homelab.conf"].content
            # on-failure: an upsmon that has ordered the shutdown has ended with 0, and is not to begin anew.
            assert "\nStartLimitIntervalSec=0\n\n[Service]\nRestart=on-failure\nRestartSec=15\nExecStartPost=" in laid


def test_who_is_away_is_not_missed() -> None:
    off = A1.model_copy(update={"away": True})
    settings = by_path(ups.primary(home(NAS, S1, off), NAS, HostProbe(), PASSWORDS))[ups.SETTINGS].content
    assert settings.endswith("\nlogins=s1=192.168.1.12\n")


def test_the_hash_that_a_unit_notes_is_the_one_that_is_compared(tmp_path: Path) -> None:
    files = ups.primary(HOME, NAS, HostProbe(), PASSWORDS)
    units = [each for each in files if each.path.endswith(".service.d/homelab.conf")]
    assert len(units) == 2
    for each in files:
        target = tmp_path / each.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(each.content)
    for each in units:
        (line,) = [line for line in each.content.splitlines() if line.startswith("ExecStartPost=")]
        command = line.partition("'")[2].rstrip("'").replace("/etc/nut", f"{tmp_path}/etc/nut")
        subprocess.run(["sh", "-c", command.replace("/run/homelab", f"{tmp_path}/run/homelab")], check=True)
    told = subprocess.run(
        ["head", "-n", "1", "nut-server.loaded", "nut-monitor.loaded"],
        cwd=tmp_path / "run/homelab",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    probe = HostProbe(output={"nas_ups_loaded": told})
    assert not ups.restart(files, ups.SERVER_UNIT, probe)
    assert not ups.restart(files, ups.MONITOR_UNIT, probe)


def survey(known: Home, probes: dict[str, HostProbe]) -> Survey:
    return Survey(known, probes)


def test_passwords_are_made_once_a_run_and_kept_by_whoever_has_them() -> None:
    fresh = survey(HOME, {"nas": HostProbe(), "s1": HostProbe()})
    made = power.passwords(fresh, NAS)
    assert made is not None
    assert made is power.passwords(fresh, NAS)
    assert min(len(made.primary), len(made.node)) >= 32 and made.primary != made.node
    # A run that was cut before it came to the NAS, or that was for the nodes alone.
    node_has = standing(ups.secondary(NAS, "geheim-node"))
    cut = power.passwords(survey(HOME, {"nas": HostProbe(), "s1": node_has}), NAS)
    assert cut is not None and cut.node == "geheim-node" and cut.primary
    partial = power.passwords(survey(HOME, {"s1": node_has, "a1x": HostProbe()}), NAS)
    assert partial == Passwords("", "geheim-node")
    assert power.passwords(survey(HOME, {"a1x": HostProbe()}), NAS) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MODE=standalone\n", "/etc/nut/nut.conf was written by somebody else (MODE=standalone); write in ups"),
        ("# as packaged\nMODE=none\n", ""),
        ("", ""),
        ("# homelab: written from the inventory, changes here are lost\nMODE=netserver\n", ""),
    ],
)
def test_a_nut_that_somebody_set_up_is_not_overwritten(text: str, said: str) -> None:
    for each in (NAS, S1):
        found = [str(problem) for problem in ups.problems(HOME, each, HostProbe(text={ups.CONF: text}))]
        assert len(found) == bool(said)
        assert all(f"{each.name}: ups: {said}" in line for line in found)
    assert list(ups.problems(home(host(), S1), S1, HostProbe(text={ups.CONF: text}))) == []


def test_an_older_nut_is_refused() -> None:
    (found,) = ups.problems(HOME, S1, HostProbe(os_id="ubuntu", os_version="22.04"))
    assert "not supported yet" in str(found)


def test_a_host_that_was_let_go_and_follows_again_does_so_after_a_boot_too() -> None:
    let_go = HostProbe(units={"nut.target": UnitState(load="loaded", active="inactive", enabled="disabled")})
    assert not ups.at_boot(S1, let_go) and not ups.at_boot(NAS, let_go)
    assert ups.enable(S1) == "systemctl enable --quiet nut.target"
    # It has no driver.
    assert ups.at_boot(S1, HostProbe(units={"nut.target": RUNNING}))
    assert not ups.at_boot(NAS, HostProbe(units={"nut.target": RUNNING}))
    assert {*ups.boot_units(S1), *ups.boot_units(NAS)} <= set(ups.questions(HOME, S1).units)


def test_a_host_is_turned_off_also_where_logind_refuses(there: Powered) -> None:
    there.fake("systemctl", 'echo "systemctl $*" >>"$HOMELAB_ROOT/did"; [ "$1" = --force ]')
    assert there.system(ups.POWEROFF).returncode == 0
    assert there.path("/did").read_text().splitlines() == [
        "systemctl -i poweroff",
        "systemctl start --no-block --job-mode=replace-irreversibly poweroff.target",
        "systemctl --force poweroff",
    ]


def test_a_simulated_ups_does_not_turn_the_next_boot_off(there: Powered) -> None:
    there.write("/etc/homelab/ups", "wait=0\nnodes=\nplayed=/etc/nut/homelab.dev\n")
    there.write("/etc/nut/homelab.dev", "ups.status: OB LB\nbattery.charge: 5\n")
    there.fake("systemctl", 'cat "$HOMELAB_ROOT/etc/nut/homelab.dev" >"$HOMELAB_ROOT/did"')
    assert there.shutdown().returncode == 0
    assert there.path("/did").read_text() == "ups.status: OL\nbattery.charge: 5\n"


@pytest.mark.parametrize("script", [None, "exit 3", "kill -9 $$", "if"])
def test_the_nas_is_turned_off_also_where_its_script_is_missing_or_dies(there: Powered, script: str | None) -> None:
    path = there.path("/usr/local/lib/homelab/ups-shutdown")
    path.unlink() if script is None else path.write_text(f"#!/bin/sh\n{script}\n")
    there.fake("systemctl", 'echo "systemctl $*" >>"$HOMELAB_ROOT/did"')
    assert there.shutdown().returncode == 0
    assert there.path("/did").read_text() == "systemctl -i poweroff\n"


def test_a_host_that_follows_no_more_is_let_go() -> None:
    probe = standing(ups.secondary(NAS, "x"))
    assert not ups.stale(HOME, S1, probe)
    assert ups.stale(home(host(), S1), S1, probe)
    assert not ups.stale(home(host(), S1), S1, HostProbe(text={ups.CONF: "MODE=standalone\n"}))
    subprocess.run(["sh", "-n"], input=ups.LET_GO, text=True, check=True)


def test_a_simulated_ups_is_laid_once_and_then_the_users() -> None:
    dummy = powered(driver="dummy-ups", port="homelab.dev")
    fresh = by_path(ups.primary(home(dummy), dummy, HostProbe(), PASSWORDS))
    assert "ups.status: OL\n" in fresh["/etc/nut/homelab.dev"].content
    assert "played=/etc/nut/homelab.dev\n" in fresh[ups.SETTINGS].content
    there = HostProbe(files={"/etc/nut/homelab.dev": FileState("file", "0640", "root:nut", "0" * 64)})
    assert "/etc/nut/homelab.dev" not in by_path(ups.primary(home(dummy), dummy, there, PASSWORDS))


def test_what_is_asked_is_sound_and_covers_every_file() -> None:
    asked = ups.questions(HOME, NAS)
    assert {each.path for each in ups.primary(HOME, NAS, HostProbe(), PASSWORDS)} <= set(asked.paths)
    assert {each.path for each in ups.secondary(NAS, "x")} <= set(ups.questions(HOME, S1).paths)
    for _, command in asked.commands:
        subprocess.run(["sh", "-n"], input=command, text=True, check=True)
    subprocess.run(["sh", "-n"], input=ups.start_driver(NAS), text=True, check=True)


#
# The scripts
#


class Powered(NasHost):
    """A host whose UPS says what a file says, and which notes what it would do."""

    def __init__(self, root: Path):
        described = nas(ups={"nodes": []})
        super().__init__(root, described)
        for name in ("ups-event", "ups-look", "ups-shutdown"):
            self.lay(ups.script(name))
        self.write("/etc/homelab/watch", "ups ups\n")
        self.path("/run/nut").mkdir(parents=True)
        alert = self.path("/usr/local/lib/homelab/homelab-alert")
        alert.write_text('#!/bin/sh\n{ echo "$2: $3"; cat; } >>"$HOMELAB_ROOT/sent"\n')
        self.fake(
            "upsc",
            '[ "$1" != -c ] || { cat "$HOMELAB_ROOT/logins" 2>/dev/null; exit; }\n'
            'cat "$HOMELAB_ROOT/ups" || { echo "Error: Driver not connected" >&2; exit 1; }',
        )

    def says(self, status: str, charge: str = "87") -> list[str]:
        """What one look sends when the UPS says this."""
        self.write("/ups", f"battery.charge: {charge}\nbattery.runtime: 1500\nups.load: 20\nups.status: {status}\n")
        return self.look()

    def look(self) -> list[str]:
        sent = self.path("/sent")
        sent.unlink(missing_ok=True)
        assert self.run("homelab-watch").returncode == 0
        return sent.read_text().splitlines() if sent.exists() else []

    def shutdown(self) -> subprocess.CompletedProcess[str]:
        """What upsmon does when the battery is low."""
        monitor = by_path(ups.primary(HOME, NAS, HostProbe(), PASSWORDS))[ups.MONITOR].content
        found = re.search(r'^SHUTDOWNCMD "(.*)"$', monitor, re.MULTILINE)
        assert found
        return self.system(found[1])

    def hears(self, minute: int, *addresses: str) -> list[str]:
        """What one look sends in a minute of the NAS's uptime at which these are logged in to upsd, besides itself."""
        self.write("/proc/uptime", f"{minute * 60}.5 1.0\n")
        self.write("/logins", "\n".join(["127.0.0.1", *addresses, ""]))
        return self.says("OL")

    def metrics(self) -> str:
        return self.path("/var/lib/homelab/metrics/homelab.prom").read_text()


@pytest.fixture
def there(tmp_path: Path) -> Powered:
    return Powered(tmp_path)


def test_a_power_cut_is_told_once_and_so_is_its_end(there: Powered) -> None:
    assert there.says("OL CHRG") == []
    said = "UPS ups: the power is out, on battery, 87 % left, for about 25 minutes"
    assert there.says("OB DISCHRG")[0] == f"urgent: {said}"
    assert there.says("OB DISCHRG", charge="60") == []
    low = there.says("OB LB", charge="9")
    assert low[0].startswith("urgent: UPS ups: the power is out and the battery low")
    for line in ("homelab_ups_on_battery", "homelab_ups_low_battery"):
        assert f'{line}{{ups="ups"}} 1\n' in there.metrics()
    assert 'homelab_ups_charge_ratio{ups="ups"} 0.09\n' in there.metrics()
    assert 'homelab_ups_runtime_seconds{ups="ups"} 1500\n' in there.metrics()
    assert there.says("OL CHRG")[0].startswith("default: over: UPS ups: the power is out")
    assert there.says("OL") == []


def test_a_ups_that_is_silent_or_ill_is_told(there: Powered) -> None:
    assert there.look()[0] == "urgent: UPS ups does not answer: Error: Driver not connected"
    said = there.says("OL RB OVER")
    assert "  warning: UPS ups: its battery is worn out and wants to be replaced" in said
    assert "  warning: UPS ups: more hangs on it than it can carry" in said
    # Low while power is there: it charges.
    assert not [line for line in there.says("OL LB CHRG") if "critical" in line]


UNHEARD = "UPS ups is not heard of by "


def test_a_host_that_does_not_hear_of_the_ups_is_told_after_a_quarter_of_an_hour(there: Powered) -> None:
    there.write("/etc/homelab/ups", f"wait=60\nnodes={A} {B}\nlogins=s1={A} a1={B}\n")
    assert there.hears(10, A, B) == []
    assert there.hears(20, A) == there.hears(30, A) == []
    told = there.hears(36, A)
    assert told[0].startswith(f"high: {UNHEARD}a1 ({B}); a host that does not hear of it loses its power")
    assert there.hears(46, A) == []
    # Another one is news, as soon as it has been gone as long.
    assert there.hears(56) == []
    assert there.hears(72)[0].startswith(f"high: {UNHEARD}s1 ({A}), a1 ({B});")
    assert there.hears(82, B, A)[0].startswith(f"default: over: {UNHEARD}s1 ({A}), a1 ({B});")
    assert there.hears(92, A) == []  # counted anew


def test_a_boot_of_the_nas_neither_hurries_nor_ends_what_is_told_of_a_host(there: Powered) -> None:
    there.write("/etc/homelab/ups", f"logins=s1={A}\n")
    assert there.hears(10) == []
    assert there.hears(25)[0].startswith(f"high: {UNHEARD}s1 ({A});")
    there.path("/run/homelab/ups-missed").unlink()  # as /run is of the boot
    assert there.hears(5) == there.hears(15) == there.hears(25) == []
    assert there.hears(35, A)[0].startswith("default: over: ")


def test_a_upsd_that_was_silent_is_given_the_time_to_be_logged_in_to(there: Powered) -> None:
    there.write("/etc/homelab/ups", f"logins=s1={A}\n")
    assert there.hears(10) == []
    there.path("/ups").unlink()
    assert there.look()[0].startswith("urgent: UPS ups does not answer")
    assert there.hears(40)[0].startswith("default: over: UPS ups does not answer")


def test_a_host_that_comes_from_another_address_counts_as_one_of_them(there: Powered) -> None:
    there.write("/etc/homelab/ups", f"logins=s1={A} a1={B}\n")
    assert there.hears(10, B, "192.0.2.99") == there.hears(40, B, "192.0.2.99") == []
    assert there.hears(50, "192.0.2.99") == []
    other = "or from an address that the inventory does not have: 1 of them"
    assert there.hears(66, "192.0.2.99")[0].startswith(f"high: {UNHEARD}s1 ({A}), a1 ({B}); {other};")


def test_a_ups_that_nobody_follows_misses_nobody(there: Powered) -> None:
    there.write("/etc/homelab/ups", "wait=60\nnodes=\nlogins=\n")
    assert there.hears(10) == there.hears(40) == []


def test_a_ups_that_is_silent_and_the_units_that_make_it_so_are_one_trouble(there: Powered) -> None:
    there.write(
        "/units",
        "nut-driver@ups.service loaded activating auto-restart x\nnut-server.service loaded failed failed x\n"
        "nut-monitor.service loaded failed failed x\n",
    )
    told = [line for line in there.look() if line.startswith("  ")]
    assert [line for line in told if "critical" in line] == [
        "  critical: nut-monitor.service failed",
        "  critical: UPS ups does not answer: Error: Driver not connected",
    ]
    there.says("OL")
    there.write("/units", "nut-driver@ups.service loaded failed failed x\n")
    assert "  critical: nut-driver@ups.service failed" in there.says("OL")


def test_an_event_while_one_looks_makes_it_look_again(there: Powered) -> None:
    event = there.path("/run/nut/homelab-event")
    there.path("/usr/local/lib/homelab/homelab-watch").write_text(
        '#!/bin/sh\necho look >>"$HOMELAB_ROOT/looks"\n'
        '[ "$(wc -l <"$HOMELAB_ROOT/looks")" -gt 1 ] || "${0%/*}/ups-event" "power is back"\n'
    )
    there.run("ups-event", "on battery")
    assert event.read_text().strip() == "on battery"
    assert there.run("ups-look", "/run/nut/homelab-event").returncode == 0
    assert there.path("/looks").read_text() == "look\nlook\n"


def test_the_nas_goes_down_when_the_others_are(there: Powered) -> None:
    there.write("/etc/homelab/ups", "wait=60\nnodes=192.0.2.11 192.0.2.12\n")
    there.fake("systemctl", 'echo "systemctl $*" >>"$HOMELAB_ROOT/did"')
    there.fake("sleep", ":")
    # Each answers twice, then no more.
    there.fake(
        "ping",
        'for a; do node=$a; done; echo "ping $node" >>"$HOMELAB_ROOT/did"\n'
        '[ "$(grep -c "ping $node" "$HOMELAB_ROOT/did")" -lt 3 ]',
    )
    done = there.shutdown()
    assert done.returncode == 0, done.stderr
    did = there.path("/did").read_text().splitlines()
    assert did == ["ping 192.0.2.11"] * 3 + ["ping 192.0.2.12"] * 3 + ["systemctl -i poweroff"]
    assert "urgent: the power is out and the battery low" in there.path("/sent").read_text()


def test_the_nas_waits_no_longer_than_it_was_told(there: Powered) -> None:
    there.write("/etc/homelab/ups", "wait=0\nnodes=192.0.2.11\n")
    there.fake("systemctl", 'echo "systemctl $*" >>"$HOMELAB_ROOT/did"')
    there.fake("ping", ":")
    there.path("/usr/local/lib/homelab/homelab-alert").write_text("#!/bin/sh\nexit 1\n")
    assert there.shutdown().returncode == 0
    assert there.path("/did").read_text() == "systemctl -i poweroff\n"


def test_a_disk_that_hangs_does_not_keep_the_nas_up(there: Powered) -> None:
    there.write("/etc/homelab/ups", "wait=0\nnodes=\n")
    there.fake("systemctl", 'echo "systemctl $*" >>"$HOMELAB_ROOT/did"')
    there.fake("sync", 'until [ -e "$HOMELAB_ROOT/did" ]; do sleep 0.1; done')
    assert there.shutdown().returncode == 0
    assert there.path("/did").read_text() == "systemctl -i poweroff\n"


def test_the_watch_is_told_of_the_ups() -> None:
    files = {each.path: each.content for each in watch.files(nas(ups={}), "nas", {})}
    assert "ups ups\n" in files[watch.CONFIG]
