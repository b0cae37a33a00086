"""An inventory as it was written: every value with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from homelab.model.problems import Problem

GROUPS = ("k3s_servers", "k3s_agents", "nas")


@dataclass(frozen=True)
class Given:
    """A value and the place it was written at."""

    value: object
    place: str


@dataclass(frozen=True)
class RawHost:
    """A host as pyinfra sees it: ``own`` data of its tuple, ``shared`` data of its groups and of all."""

    name: str
    groups: tuple[str, ...]
    places: tuple[str, ...]
    own: Mapping[str, Given] = field(default_factory=dict)
    shared: Mapping[str, Given] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, object]:
        """What ``host.data`` answers in pyinfra."""
        return {key: given.value for key, given in {**self.shared, **self.own}.items()}


@dataclass(frozen=True)
class RawInventory:
    """An inventory read, not yet judged. ``problems`` are those that only reading could see."""

    path: Path
    hosts: tuple[RawHost, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def environment(self) -> str:
        return self.path.stem

    @property
    def place(self) -> str:
        return place_of(self.path)


def place_of(path: Path) -> str:
    """How a file is named in a problem: from the folder that holds inventory/ on, never this machine's path."""
    parts = path.parts
    for folder in ("inventory", "group_data"):
        if folder in parts[:-1]:
            at = len(parts) - 2 - parts[:-1][::-1].index(folder)
            return "/".join(parts[at:])
    return path.name
