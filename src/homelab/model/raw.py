"""Reading an inventory file the way pyinfra does, remembering where each value was written.

The rules are pyinfra 3.10's (pyinfra_cli/inventory.py make_inventory_from_files, api/inventory.py,
api/host.py); tests/unit/model/test_raw.py compares the outcome with pyinfra's own.
"""

import ast
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from homelab.model.problems import InventoryError, Problem, did_you_mean

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


def existing(folder: Path) -> tuple[str, ...]:
    """The inventories of a folder by name, in order."""
    return tuple(sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__"))


def choose(folder: Path, environ: Mapping[str, str]) -> Path:
    """The inventory to use: HOMELAB_ENV's, else home.py if there is one, else sandbox.py.

    Raise InventoryError, listing what there is, when that file does not exist.
    """
    names = existing(folder)
    wanted = environ.get("HOMELAB_ENV")
    if wanted is None:
        wanted = "home" if "home" in names else "sandbox"
    if wanted in names:
        return folder / f"{wanted}.py"
    have = f"there is {', '.join(names)}" if names else "the folder has none"
    place = f"HOMELAB_ENV={wanted}" if "HOMELAB_ENV" in environ else f"{folder.name}/"
    raise InventoryError([Problem(place, f"no inventory {folder.name}/{wanted}.py", did_you_mean(wanted, names, have))])


def read(path: Path, cwd: Path | None = None) -> RawInventory:
    """Execute an inventory file and its group_data as pyinfra would when run from ``cwd``.

    Raise InventoryError when a file cannot be executed.
    """
    path = Path(path)
    cwd = (Path.cwd() if cwd is None else cwd).resolve()
    problems: list[Problem] = []
    names = _execute(path)
    groups = dict(_groups(path, names, problems))
    group_data = _group_data(path, cwd, problems)
    return RawInventory(path, tuple(_hosts(path, groups, group_data, problems)), tuple(problems))


def _execute(path: Path) -> dict[str, object]:
    """The names a file leaves behind. pyinfra gives it ``__file__`` and nothing else."""
    place = place_of(path)
    namespace: dict[str, object] = {"__file__": str(path)}
    try:
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        # What an inventory prints must not end up in a command's result.
        with redirect_stdout(sys.stderr):
            exec(code, namespace)
    except OSError as error:
        raise InventoryError(
            [Problem(place, error.strerror or str(error), "write the file, or name another")]
        ) from None
    except SyntaxError as error:
        problem = Problem(f"{place}:{error.lineno or 1}", f"SyntaxError: {error.msg}", "correct that line")
        raise InventoryError([problem]) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's file may raise anything; it is one line
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InventoryError([Problem(f"{place}:{line or 1}", what, "correct that line")]) from None
    return namespace


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


Entries = list[tuple[str, dict[str, object], str]]


def _groups(
    path: Path, names: Mapping[str, object], problems: list[Problem]
) -> Iterator[tuple[str, tuple[Entries, dict[str, object]]]]:
    """The groups of an inventory file with their hosts and inline data; what pyinfra drops is a problem."""
    place = place_of(path)
    imported = _imported(path)
    for name, value in names.items():
        if name.startswith("_"):
            continue
        if not isinstance(value, list | tuple) and (name in imported or callable(value)):
            continue
        if name not in GROUPS:
            if isinstance(value, list | tuple):
                remedy = f"write {', '.join(GROUPS)}, or start a helper's name with _"
                if name in ("all", path.stem):
                    problems.append(Problem(f"{place}: {name}", "pyinfra makes this group itself", remedy))
                else:
                    remedy = did_you_mean(name, GROUPS, remedy)
                    problems.append(Problem(f"{place}: {name}", "unknown group", remedy))
            elif not name.isupper():
                problems.append(
                    Problem(
                        f"{place}: {name}",
                        "is no group, and pyinfra ignores it here",
                        f"write shared values in {path.parent.name}/group_data/{path.stem}.py, "
                        "or start a helper's name with _",
                    )
                )
            continue
        data: object = {}
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], list):
            value, data = value
        if not isinstance(value, list) or not isinstance(data, dict):
            problems.append(
                Problem(
                    f"{place}: {name}", f"a {type(value).__name__} is no group", f'write {name} = [("s1", {{...}})]'
                )
            )
            continue
        entries: Entries = []
        for index, item in enumerate(value):
            at = f"{place}: {name}[{index}]"
            if isinstance(item, str):
                item = (item, {})
            if (
                not isinstance(item, tuple)
                or len(item) != 2
                or not isinstance(item[0], str)
                or not item[0]
                or not isinstance(item[1], dict)
            ):
                problems.append(Problem(at, "is not a host", 'write ("s1", {...}), a name and its data'))
                continue
            twice = next((seen for seen in entries if seen[0] == item[0]), None)
            if twice:
                problems.append(Problem(f"{at} {item[0]}", f"is also {twice[2]}", "write each host once in a group"))
                continue
            entries.append((item[0], item[1], f"{at} {item[0]}"))
        yield name, (entries, data)


def _group_data(path: Path, cwd: Path, problems: list[Problem]) -> dict[str, dict[str, Given]]:
    """Shared data by group, of <cwd>/group_data and then of group_data beside the inventory."""
    beside = path.resolve().parent
    folders = [cwd / "group_data", *([beside / "group_data"] if beside != cwd else [])]
    known = {"all", "@fake", "home", path.stem, *GROUPS, *existing(beside)}
    found: dict[str, dict[str, Given]] = {}
    for folder in folders:
        for file in sorted(folder.glob("*.py")) if folder.is_dir() else ():
            place = place_of(file)
            names = _execute(file)
            if file.stem not in known:
                remedy = did_you_mean(file.stem, known, f"name it after one of {', '.join(sorted(known))}")
                problems.append(Problem(place, f"no group {file.stem}, so nobody reads it", remedy))
            if "__all__" in names:
                exported = names["__all__"]
                keys = set(exported) if isinstance(exported, list | tuple) else set()
            else:
                keys = set(names) - _imported(file)
            group = found.setdefault(file.stem, {})
            for key, value in names.items():
                if key in keys and not key.startswith("__"):
                    group[key] = Given(value, f"{place}: {key}")
    return found


def _hosts(
    path: Path,
    groups: Mapping[str, tuple[Entries, dict[str, object]]],
    group_data: Mapping[str, dict[str, Given]],
    problems: list[Problem],
) -> Iterator[RawHost]:
    place = place_of(path)
    names = dict.fromkeys(name for entries, _ in groups.values() for name, _, _ in entries)
    for name in names:
        own: dict[str, Given] = {}
        shared = dict(group_data.get("all", {}))
        mine = [group for group, (entries, _) in groups.items() if any(entry[0] == name for entry in entries)]
        places = []
        for group in mine:
            entries, inline = groups[group]
            shared |= {key: Given(value, f"{place}: {group} data.{key}") for key, value in inline.items()}
            shared |= group_data.get(group, {})
            for entry, data, at in entries:
                if entry != name:
                    continue
                places.append(at)
                for key, value in data.items():
                    before = own.get(key)
                    if before is not None and before.value != value:
                        problems.append(
                            Problem(f"{at}.{key}", f"differs from {before.place}", "write it once, in one of them")
                        )
                    own[key] = Given(value, f"{at}.{key}")
        # Every host joins the file's own group after the ones it is listed in, and a connector's after that.
        mine.append(path.stem)
        shared |= group_data.get(path.stem, {})
        if name.startswith("@"):
            connector = name.partition("/")[0]
            mine.append(connector)
            shared |= group_data.get(connector, {})
        yield RawHost(name, tuple(mine), tuple(places), own, shared)
