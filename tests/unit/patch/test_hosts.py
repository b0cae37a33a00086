"""A host's answer: read whole or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homelab.patch.hosts import LookFailed, Package, Seen, lacks, parse

# As look.sh told it of a Debian 12 host.
SAID = """\
boot\t1e672915-2ef5-4be5-bc54-63b7718e6fb6 9
kernel\t6.1.0-30-amd64
reboot\trequired
because\tlinux-image-6.1.0-31-amd64
system\trunning
failed\told.service
busy\thomelab-scrub@tank.service
unit\tactive
started\tSun 2026-11-29 20:00:00 UTC
mount\t/
mount\t/srv/tank
unmounted\t/srv/usb
remote\t192.0.2.31:/srv/media /mnt/media
client\t192.0.2.11
upgrade\tbash [5.2.15-2+b8] (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
upgrade\tlibpam-modules-bin [1.5.2-6+deb12u1] (1.5.2-6+deb12u3 Debian-Security:12 [amd64]) [libpam-modules:amd64 ]
upgrade\tlinux-image-6.1.0-31-amd64 (6.1.128-1 Debian:12.15/oldstable [amd64])
kept\tdocker-ce
end\t.
"""


def test_a_whole_answer() -> None:
    seen = parse(SAID)
    assert seen.packages == (
        Package("bash", "5.2.15-2+b8", "5.2.15-2+b13"),
        Package("libpam-modules-bin", "1.5.2-6+deb12u1", "1.5.2-6+deb12u3"),
        Package("linux-image-6.1.0-31-amd64", "", "6.1.128-1"),
    )
    assert [str(each) for each in seen.packages][::2] == [
        "bash 5.2.15-2+b8 -> 5.2.15-2+b13",
        "linux-image-6.1.0-31-amd64 6.1.128-1 (new)",
    ]
    assert (seen.reboot, seen.reason, seen.kept) == (True, "linux-image-6.1.0-31-amd64", ("docker-ce",))
    assert (seen.unit, seen.queued, seen.started.year if seen.started else 0) == ("active", False, 2026)
    assert (seen.remote, seen.clients) == ((("192.0.2.31:/srv/media", "/mnt/media"),), ("192.0.2.11",))
    assert (seen.mounts, seen.unmounted) == (frozenset({"/", "/srv/tank"}), ("/srv/usb",))
    assert seen.busy == ("homelab-scrub@tank.service",) and seen.broken == () and not seen.locked and seen.pending


@pytest.mark.parametrize(
    "said", ["", "sudo: a password is required", SAID.replace("end\t.\n", ""), SAID.replace("boot\t", "b\t"), "end\t."]
)
def test_an_answer_that_is_not_whole_is_none(said: str) -> None:
    with pytest.raises(LookFailed, match="not whole"):
        parse(said)


def test_a_package_in_an_unknown_form_is_not_left_out() -> None:
    with pytest.raises(LookFailed, match="in a way not known here"):
        parse(SAID.replace("upgrade\tbash [", "upgrade\tbash {"))


def test_a_reboot_that_does_not_say_why() -> None:
    assert "does not say" in parse("boot\tx\nreboot\trequired\nend\t.\n").reason


@pytest.mark.parametrize(("name", "is_k3s"), [("k3s", True), ("k3s-selinux", True), ("k3sup", False), ("bash", False)])
def test_packages_of_k3s_itself(name: str, is_k3s: bool) -> None:
    assert bool(Seen("x", packages=(Package(name, "1", "2"),)).k3s) is is_k3s


def test_what_a_host_lacks_after_its_boot() -> None:
    before = parse(SAID)
    assert lacks(before, replace(before, boot="y")) == []
    now = replace(before, system="starting", mounts=frozenset({"/"}), failed=frozenset({"old.service", "nfs.service"}))
    assert lacks(before, now) == ["/srv/tank is not mounted", "nfs.service has failed"]
    assert lacks(before, replace(now, boot="y"))[0] == "it is still starting"
