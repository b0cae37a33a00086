"""How Windows and macOS find the NAS."""

from __future__ import annotations

from ipaddress import ip_address
from xml.etree import ElementTree

from homelab.nas import discovery
from homelab.probe import HostProbe
from tests.unit.nas.shares import home, host

USERS = {"anna": {"uid": 2001, "password": "env:ANNA"}}
VOLUMES = {name: {"pool": "tank", "owner": "anna"} for name in ("photos", "times", "more")}
WIRE = {ip_address("192.168.1.31"): "eth0", ip_address("10.42.0.1"): "cni0"}


def share(volume: str, purpose: str = "default") -> dict[str, object]:
    return {"volume": volume, "smb": {"users": ["anna"], "purpose": purpose}}


NAS = host(
    users=USERS,
    volumes=VOLUMES,
    shares={
        "photos": share("photos"),
        "times": share("times", "timemachine"),
        "more": share("more", "timemachine"),
    },
)


def services(text: str) -> dict[str, tuple[str, list[str]]]:
    """Port and texts of each service in an Avahi file."""
    return {
        each.findtext("type", ""): (each.findtext("port", ""), [text.text or "" for text in each.findall("txt-record")])
        for each in ElementTree.fromstring(text).findall("service")
    }


def test_avahi_tells_macs_of_the_server_and_of_each_time_machine() -> None:
    assert services(discovery.macs(NAS).content) == {
        "_smb._tcp": ("445", []),
        "_device-info._tcp": ("0", ["model=MacSamba"]),
        "_adisk._tcp": (
            "9",
            ["sys=waMa=0,adVF=0x100", "dk0=adVN=times,adVF=0x82", "dk1=adVN=more,adVF=0x82"],
        ),
    }


def test_no_time_machine_no_word_of_one() -> None:
    nas = host(users=USERS, volumes=VOLUMES, shares={"photos": share("photos")})
    assert "_adisk._tcp" not in services(discovery.macs(nas).content)


def test_windows_is_told_on_the_homes_own_wire_only() -> None:
    lines = discovery.windows(NAS, HostProbe(addresses=WIRE)).content.splitlines()
    # The empty one takes the package's own away.
    assert lines[-2:] == ["ExecStart=", "ExecStart=/usr/sbin/wsdd2 -w -i eth0 -H nas -N NAS -G WORKGROUP"]
    chosen = NAS.model_copy(update={"interface": "eth1"})
    assert "-i eth1 " in discovery.windows(chosen, HostProbe(addresses=WIRE)).content


def test_what_runs_is_compared_with_what_should() -> None:
    def probe(said: str) -> HostProbe:
        return HostProbe(addresses=WIRE, output={"nas-wsdd2": said})

    assert not discovery.restart(NAS, probe("/usr/sbin/wsdd2 -w -i eth0 -H nas -N NAS -G WORKGROUP "))
    assert discovery.restart(NAS, probe("/usr/sbin/wsdd2 "))
    assert discovery.restart(NAS, probe(""))


def test_without_smb_there_is_nothing_to_find() -> None:
    nas = host(users=USERS, volumes=VOLUMES, shares={"photos": {"volume": "photos", "nfs": {"clients": ["lan"]}}})
    assert discovery.wanted(NAS) and not discovery.wanted(nas)
    asked = discovery.questions(home(nas), nas)
    assert discovery.SERVICES in asked.paths, "what was said of it once is taken back"
