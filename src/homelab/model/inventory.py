"""The one door: raw inventory in, frozen Home out, or every problem at once."""

from pathlib import Path

from homelab.model import keys, rules, shared
from homelab.model.home import Home
from homelab.model.problems import InventoryError, Problem
from homelab.model.raw import GROUPS, RawInventory
from homelab.model.reading import read
from homelab.model.seat import Seat


def load(path: Path, cwd: Path | None = None) -> Home:
    """The home that an inventory file describes. Raise InventoryError with all its problems."""
    return validate(read(path, cwd))


def validate(raw: RawInventory) -> Home:
    """The home that a raw inventory describes. Raise InventoryError with all its problems."""
    problems = list(raw.problems)
    if not raw.hosts:
        problems.append(Problem(raw.place, "no hosts", f'write {GROUPS[0]} = [("s1", {{"address": ...}})]'))
    seats = [Seat(host) for host in raw.hosts]
    for seat in seats:
        problems += keys.check(seat.raw, seat.role)
        problems += seat.build()
    problems += rules.check_roles(raw, seats)
    problems += rules.check_unique(seats)
    base, found = shared.base(seats)
    problems += found
    problems += rules.check_storage(seats)
    problems += rules.check_power(seats)
    cluster = None
    nodes = [seat for seat in seats if seat.role]
    if nodes:
        cluster, found = shared.cluster(nodes, raw)
        problems += found
        if cluster:
            problems += rules.check_networks(seats, cluster, base, found)
            problems += rules.check_node_ports(seats, cluster, base)
            problems += rules.check_charts(seats, cluster, raw)
    if problems:
        # A group's value is judged once for each host that has it; it is one problem.
        raise InventoryError(dict.fromkeys(problems))
    return Home(
        environment=raw.environment,
        hosts=tuple(seat.host for seat in seats if seat.host),
        cluster=cluster,
        base=base,
    )
