"""Addresses and networks as the inventory spells them: strings."""

from contextlib import suppress
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


def network(
    value: object, remedy: str = 'write one with its prefix, "192.168.1.0/24"', prefixes: tuple[int, ...] = (24,)
) -> AnyNetwork:
    """A network in CIDR form, host bits zero; ``remedy`` where it cannot be told which one was meant.

    ``prefixes`` are those that one without may have meant. A home's own has 24: with 16 it would be all of the home's,
    and guests on another one be let in.
    """
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str) or "/" not in value:
        if bare := _prefixed(value, prefixes):
            remedy = f'write one with its prefix, "{bare}"'
        raise refuse(f"{shown(value)} is not a network", remedy)
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = ip_network(value, strict=False)
    except ValueError:
        raise refuse(f"{shown(value)} is not a network", remedy) from None
    raise refuse(f"{shown(value)} has host bits set", f'write "{meant}"')


def _prefixed(value: object, prefixes: tuple[int, ...]) -> IPv4Network | None:
    """The network of an address that ends in zeros, which lacks its prefix; None where it is another thing."""
    for prefix in prefixes if isinstance(value, str) else ():
        with suppress(ValueError):
            return IPv4Network(f"{value}/{prefix}")
    return None


def cidrs(value: object) -> tuple[AnyNetwork, ...]:
    """One network, or an IPv4 and an IPv6 one: a comma pair as K3s spells it, or a list."""
    # None is suggested: that of a LAN, or of the other key, would be the next thing to refuse.
    remedy = "write one with its prefix that nothing else has"
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise refuse(f"{shown(value)} is not a network", f"{remedy}, or a pair for dual-stack")
    found = tuple(network(part.strip() if isinstance(part, str) else part, remedy, (16, 24)) for part in parts)
    if len({one.version for one in found}) != len(found):
        raise refuse(f"{shown(value)} has two networks of one family", "write one IPv4 and at most one IPv6")
    return found


def overlap(one: AnyNetwork, other: AnyNetwork) -> bool:
    """Whether two networks share addresses; networks of two families never do."""
    return one.version == other.version and one.overlaps(other)


Address = Annotated[IPv4Address | IPv6Address, BeforeValidator(address)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(network)]
Cidrs = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(cidrs)]
