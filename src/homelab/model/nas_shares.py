"""What must hold between a NAS's shares, their volumes, users and clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network

from homelab.model.nas import Nfs, Share, Smb
from homelab.model.nas_written import Written
from homelab.model.networks import AnyAddress, AnyNetwork, overlap
from homelab.model.problems import Problem, did_you_mean
from homelab.model.strict import shown, words

# Sections of smb.conf that mean something else than a share.
_SECTIONS = words("global homes printers print ipc")

Hosts = Mapping[str, AnyAddress | None]
Networks = Mapping[str, AnyNetwork | None]


def check(written: Written, hosts: Hosts, networks: Networks) -> Iterator[Problem]:
    """Everything that does not fit together in the shares of one NAS."""
    first: dict[str, str] = {}
    for name, share in written.nas.shares.items():
        place = written.place("shares", name)
        if name in _SECTIONS:
            yield Problem(place, f"[{name}] means something else to Samba", "give the share another name")
        yield from written.unknown("volumes", share.volume, "shares", name, "volume")
        if share.volume in first:
            found = f"{shown(share.volume)} is shared by {first[share.volume]} already"
            yield Problem(f"{place}.volume", found, "write one share, with nfs and smb in it")
        first.setdefault(share.volume, name)
        if share.nfs is None and share.smb is None:
            yield Problem(place, "nobody can reach it", 'write "nfs": {...}, "smb": {...} or both')
        if share.nfs is not None:
            yield from _check_nfs(f"{place}.nfs", share.nfs, hosts, networks)
            volume = written.nas.volumes.get(share.volume)
            if volume and share.nfs.squash == "all" and volume.owner == "root":
                found = f"everybody would be root in volume {shown(share.volume)}"
                yield Problem(f"{place}.nfs.squash", found, f'write "owner": one of users, in volumes.{share.volume}')
        if share.smb is not None:
            yield from _check_smb(written, name, share.smb)
            yield from _check_purpose(place, share, share.smb)


def _check_nfs(place: str, nfs: Nfs, hosts: Hosts, networks: Networks) -> Iterator[Problem]:
    if not nfs.clients:
        yield Problem(f"{place}.clients", "nobody may mount it", 'write who may, ["lan"], or leave nfs out')
    before: list[tuple[str, AnyNetwork]] = []
    for index, client in enumerate(nfs.clients):
        at = f"{place}.clients[{index}]"
        if _named(client) and client not in hosts and client not in networks:
            known = sorted({*hosts, *networks})
            have = f"write an address, or one of {', '.join(known)}"
            if not networks:
                # What somebody has who copied the example's hosts, and not its group_data.
                have = f'write networks = {{"{client}": "192.168.1.0/24"}} in group_data, or one of {", ".join(known)}'
            yield Problem(at, f"{shown(client)} is no host and none of networks", did_you_mean(client, known, have))
            continue
        if client in hosts and client in networks:
            yield Problem(at, f"{shown(client)} is a host and one of networks", "give the network another name")
            continue
        meant = _meant(client, hosts, networks)
        if meant is None:
            continue
        for other, held in before:
            if overlap(meant, held):
                found = f"{_said(client, meant)} overlaps {_said(other, held)}"
                yield Problem(at, found, "write each client once: which of its options would hold is chance")
                break
        before.append((client, meant))


def _named(client: str) -> bool:
    try:
        ip_network(client)
    except ValueError:
        return True
    return False


def _meant(client: str, hosts: Hosts, networks: Networks) -> AnyNetwork | None:
    """The addresses of a client; None where what was written of them is wrong."""
    if not _named(client):
        return ip_network(client)
    if client in networks:
        return networks[client]
    address = hosts[client]
    return ip_network(str(ip_address(address))) if address is not None else None


def _said(client: str, meant: AnyNetwork) -> str:
    alone = meant.num_addresses == 1
    text = str(meant.network_address) if alone else str(meant)
    return text if client in (text, str(meant)) else f"{client} ({text})"


def _check_smb(written: Written, name: str, smb: Smb) -> Iterator[Problem]:
    if not smb.users:
        # Samba takes an empty list for everybody.
        place = written.place("shares", name, "smb", "users")
        yield Problem(place, "nobody may use it", 'write who may, ["anna"], or leave smb out')
    for index, each in enumerate(smb.users):
        yield from written.unknown("users", each, "shares", name, "smb", "users", index)
        user = written.nas.users.get(each)
        if user and user.password is None:
            place = written.place("shares", name, "smb", "users", index)
            remedy = f'write "password": "env:{each.upper().replace("-", "_")}_PASSWORD" in users.{each}'
            yield Problem(place, f"{shown(each)} has no password, and SMB asks for one", remedy)


def _check_purpose(place: str, share: Share, smb: Smb) -> Iterator[Problem]:
    at = f"{place}.smb.purpose"
    if smb.purpose == "multiprotocol":
        if share.nfs is None:
            yield Problem(at, "multiprotocol is for a volume that NFS serves too", "write nfs as well, or leave it out")
    elif share.nfs is not None:
        if smb.purpose == "default":
            found = "SMB's clients keep files to themselves, and NFS would change them unseen"
            yield Problem(at, found, 'write "purpose": "multiprotocol"')
        elif smb.purpose == "timemachine":
            yield Problem(f"{place}.nfs", "a Time Machine volume is for macOS alone", "leave nfs out")
        else:
            yield Problem(f"{place}.nfs", "what is private over SMB would be open over NFS", "leave nfs out")
    if smb.purpose == "timemachine" and smb.recycle:
        found = "every old backup would stay in the recycle bin"
        yield Problem(f"{place}.smb.recycle", found, "leave it out of a Time Machine share")
    if "recycle_days" in smb.model_fields_set and not smb.recycle:
        yield Problem(f"{place}.smb.recycle_days", "there is no recycle bin", 'write "recycle": True as well')
    if smb.purpose == "timemachine" and smb.read_only:
        yield Problem(f"{place}.smb.read_only", "Time Machine has to write", "leave it out")
