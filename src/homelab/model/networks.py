"""Addresses and networks as the inventory spells them: strings."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import BeforeValidator

from homelab.model.strict import refuse, shown

AnyAddress = IPv4Address | IPv6Address
AnyNetwork = IPv4Network | IPv6Network


def address(value: object) -> AnyAddress:
    """An IP address a host can have."""
    if isinstance(value, IPv4Address | IPv6Address):
        found: AnyAddress = value
    else:
        try:
            # ip_address(16) is 0.0.0.16, so only strings are read.
            found = ip_address(value if isinstance(value, str) else "")
        except ValueError:
            raise refuse(f"{shown(value)} is not an IP address", 'write one, "192.168.1.11"') from None
    if found.is_loopback or found.is_unspecified or found.is_multicast or found.is_link_local or found.is_reserved:
        raise refuse(f"{found} is no address that other hosts can reach", "write its address in the LAN")
    return found


def network(value: object) -> AnyNetwork:
    """A network in CIDR form, host bits zero."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str) or "/" not in value:
        raise refuse(f"{shown(value)} is not a network", 'write one with its prefix, "192.168.1.0/24"')
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = ip_network(value, strict=False)
    except ValueError:
        raise refuse(f"{shown(value)} is not a network", 'write one, "192.168.1.0/24"') from None
    raise refuse(f"{shown(value)} has host bits set", f'write "{meant}"')


def cidrs(value: object) -> tuple[AnyNetwork, ...]:
    """One network, or an IPv4 and an IPv6 one: a comma pair as K3s spells it, or a list."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise refuse(f"{shown(value)} is not a network", 'write "10.42.0.0/16", or a pair for dual-stack')
    found = tuple(network(part.strip() if isinstance(part, str) else part) for part in parts)
    if len({one.version for one in found}) != len(found):
        raise refuse(f"{shown(value)} has two networks of one family", "write one IPv4 and at most one IPv6")
    return found


def overlap(one: AnyNetwork, other: AnyNetwork) -> bool:
    """Whether two networks share addresses; networks of two families never do."""
    return one.version == other.version and one.overlaps(other)


Address = Annotated[IPv4Address | IPv6Address, BeforeValidator(address)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(network)]
Cidrs = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(cidrs)]
