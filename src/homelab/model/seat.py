"""A raw host on its way to become a Host."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from homelab.model import nas_written
from homelab.model.host import Host, Role
from homelab.model.problems import Problem
from homelab.model.raw import RawHost
from homelab.model.ssh import SSH_KEYS
from homelab.model.strict import refusals

Shape = TypeVar("Shape", bound=BaseModel)
Location = tuple[str | int, ...]


class Seat:
    """A place at the table: what the inventory says of a host, and the Host once it is made."""

    def __init__(self, raw: RawHost) -> None:
        self.raw = raw
        self.place = raw.places[0]
        # "@fake/s1" rehearses s1.
        self.name = raw.name.removeprefix("@fake/")
        self.role: Role | None = None
        if "k3s_servers" in raw.groups:
            self.role = "server"
        elif "k3s_agents" in raw.groups:
            self.role = "agent"
        self.host: Host | None = None
        self.written: nas_written.Written | None = None

    @property
    def away(self) -> bool:
        return "away" in self.raw.own and self.raw.own["away"].value is True

    def build(self) -> list[Problem]:
        """Make the Host; the problems that stand in its way. With problems it is made of what is right."""
        if self.raw.name.startswith("@") and self.name == self.raw.name:
            what = "only SSH hosts and @fake ones are supported yet"
            return [Problem(self.place, what, 'write a plain name, "s1"')]
        values: dict[str, object] = {
            "name": self.name,
            "inventory_name": self.raw.name,
            "role": self.role,
            "nas": "nas" in self.raw.groups,
            "ssh": {key: value for key, value in self.raw.data.items() if key in SSH_KEYS},
        }
        for key in ("interface", "away", "server_config", "agent_config"):
            if key in self.raw.own:
                values[key] = self.raw.own[key].value
        for key in ("labels", "taints"):
            if key in self.raw.own or key in self.raw.shared:
                values[key] = self._merged(key)
        wrong: list[Problem] = []
        if "nas" in self.raw.groups:
            self.written, wrong = nas_written.read(self.raw, self.name)
            values["storage"] = self.written.nas
        missing = self._address(values)
        self.host, problems = model(Host, values, self._where, {"name": "unnamed"})
        # Of a missing address the reason has been said; the model would only say that it is missing.
        return wrong + missing + [one for one in problems if not (missing and one.place == missing[0].place)]

    def _address(self, values: dict[str, object]) -> list[Problem]:
        place, remedy = f"{self.place}.address", 'write "address": its IP address in the LAN'
        if "address" in self.raw.own:
            values["address"] = self.raw.own["address"].value
            return []
        name = self.raw.data.get("ssh_hostname")
        if name is None:
            return [Problem(place, "is missing", remedy)]
        try:
            values["address"] = str(ip_address(str(name)))
        except ValueError:
            return [Problem(place, f"is missing, and ssh_hostname {name!r} is a name", remedy)]
        return []

    def _merged(self, key: str) -> object:
        own, shared = self.raw.own.get(key), self.raw.shared.get(key)
        if own is None or shared is None:
            given = own or shared
            return given.value if given else None
        if isinstance(own.value, dict) and isinstance(shared.value, dict):
            return {**shared.value, **own.value}
        if isinstance(own.value, list | tuple) and isinstance(shared.value, list | tuple):
            return (*shared.value, *(one for one in own.value if one not in shared.value))
        return own.value

    def _where(self, location: Location) -> str:
        key = str(location[0])
        if key == "name":
            return self.place
        given = self.raw.own.get(key) or self.raw.shared.get(key)
        shared = self.raw.shared.get(key)
        if shared and given and given is not shared and len(location) > 1:
            # Merged: the wrong one of the labels may be the group's.
            mine = isinstance(given.value, dict) and location[1] in given.value
            given = given if mine else shared if isinstance(shared.value, dict) else given
        return (given.place if given else f"{self.place}.{key}") + below(location[1:])


def below(location: Iterable[str | int]) -> str:
    """Where in a value, as Python spells it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def model(
    shape: type[Shape],
    values: Mapping[str, object],
    where: Callable[[Location], str],
    spare: Mapping[str, object],
) -> tuple[Shape | None, list[Problem]]:
    """The shape made of the values, and what is wrong with them.

    With problems it is made of the right ones and ``spare``, so that rules across shapes still find theirs
    and all problems come at once; it must not leave the door then.
    """
    try:
        return shape.model_validate(values), []
    except ValidationError as error:
        wrong = list(refusals(error, shape))
    problems = [Problem(where(at), found, remedy) for at, found, remedy in wrong]
    bad = {at[0] for at, _, _ in wrong}
    right = {key: value for key, value in values.items() if key not in bad}
    try:
        return shape.model_validate({**spare, **right}), problems
    except ValidationError:
        return None, problems
