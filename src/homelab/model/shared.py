"""What the hosts share, made into one Cluster and one Base; a problem where they do not agree."""

from collections.abc import Iterable

from homelab.model import keys, native
from homelab.model.base import Base
from homelab.model.cluster import Cluster
from homelab.model.problems import Problem
from homelab.model.raw import Given, RawInventory, place_of
from homelab.model.registries import registries
from homelab.model.seat import Location, Seat, below, model

_MISSING = object()
# What these hold may be secret, so it is never part of a problem's text.
_UNECHOED = ("k3s_token", "k3s_agent_token", "registries", "server_config", "agent_config", "charts")


def agreed(seats: list[Seat], names: Iterable[str]) -> tuple[dict[str, Given], list[Problem]]:
    """The shared values that all the seats have, and a problem naming both places where they differ."""
    found: dict[str, Given] = {}
    problems = []
    for name in names:
        first = seats[0].raw.shared.get(name) if seats else None
        for seat in seats[1:]:
            other = seat.raw.shared.get(name)
            if (first.value if first else _MISSING) == (other.value if other else _MISSING):
                continue
            if first and other:
                problem = Problem(other.place, f"differs from {first.place}", "write it once, for all hosts")
            else:
                given, without = (first, seat) if first else (other, seats[0])
                place = given.place if given else ""
                problem = Problem(place, f"is not given for {without.name}", "write it in all.py, for all hosts")
            problems.append(problem)
            break
        if first:
            found[name] = first
    return found, problems


def cluster(nodes: list[Seat], raw: RawInventory) -> tuple[Cluster | None, list[Problem]]:
    """The cluster the K3s nodes agree on."""
    given, problems = agreed(nodes, keys.CLUSTER)
    for key, role in keys.CONFIGS:
        held, differing = agreed([seat for seat in nodes if seat.role == role], (key,))
        given |= held
        problems += differing
        if key in held and isinstance(held[key].value, dict):
            config: dict[object, object] = held[key].value  # type: ignore[assignment]
            problems += [
                Problem(f"{held[key].place}.{name}", found, remedy)
                for name, found, remedy in native.check(config, role, of_one_host=False)
            ]
    values = {keys.CLUSTER.get(key, key): one.value for key, one in given.items()}
    fields = {field: key for key, field in keys.CLUSTER.items()}
    if "version" not in values:
        place = f"{place_of(raw.path.parent / 'group_data' / 'all.py')}: k3s_version"
        problems.append(Problem(place, "is missing", 'write k3s_version = "v1.35.6+k3s1", a release\'s whole tag'))
        values["version"] = "v1.0.0+k3s1"
    if "registries" in given and isinstance(given["registries"].value, dict):
        values["registries"], wrong = registries(given["registries"].value)
        problems += [Problem(f"{given['registries'].place}{at}", found, remedy) for at, found, remedy in wrong]

    def where(location: Location) -> str:
        field = str(location[0])
        return given[fields.get(field, field)].place + below(location[1:])

    made, refused = model(Cluster, values, where, {"version": "v1.0.0+k3s1"})
    problems += [_muted(problem, given) for problem in refused]
    if made and made.token and made.token == made.agent_token:
        found = "is the same secret as k3s_token, so a stolen agent could join as a server"
        problems.append(Problem(given["k3s_agent_token"].place, found, "write a reference to another"))
    return made, problems


def base(seats: list[Seat]) -> tuple[Base, list[Problem]]:
    """What all hosts agree on."""
    given, problems = agreed(seats, keys.BASE)
    values = {key: one.value for key, one in given.items()}
    made, refused = model(Base, values, lambda at: given[str(at[0])].place + below(at[1:]), {})
    return made or Base(), problems + refused


def _muted(problem: Problem, given: dict[str, Given]) -> Problem:
    for key in _UNECHOED:
        if key in given and problem.place.startswith(given[key].place) and "of the wrong type" in problem.found:
            return Problem(problem.place, "is of the wrong type", problem.remedy)
    return problem
