"""Reading an inventory file the way pyinfra does.

The rules are pyinfra 3.10's (pyinfra_cli/inventory.py make_inventory_from_files, api/inventory.py,
api/host.py); tests/unit/model/test_reading.py compares the outcome with pyinfra's own.
"""

import ast
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType
from typing import TypeGuard

from homelab.model.choice import existing
from homelab.model.problems import InventoryError, Problem, did_you_mean
from homelab.model.raw import GROUPS, Given, RawHost, RawInventory, place_of

# Helm's charts, the deepest of what an inventory holds, have a dozen levels.
_DEEPEST = 64


def read(path: Path, cwd: Path | None = None) -> RawInventory:
    """Execute an inventory file and its group_data as pyinfra would when run from ``cwd``.

    Raise InventoryError when a file cannot be executed, for all such files at once, or is called as a group.
    """
    path = Path(path)
    cwd = (Path.cwd() if cwd is None else cwd).resolve()
    if path.stem in ("all", *GROUPS):
        # pyinfra puts all hosts of a file into a group of its name.
        found = f"is called as the group {path.stem}, and each of its hosts would be in that"
        raise InventoryError([Problem(place_of(path), found, "call it otherwise, home.py")])
    problems: list[Problem] = []
    executed: dict[Path, dict[str, object]] = {}
    broken: list[Problem] = []
    for file in (path, *_group_files(path, cwd)):
        try:
            executed[file] = _execute(file)
        except InventoryError as error:
            broken += error.problems
    if broken:
        raise InventoryError(broken)
    groups = dict(_groups(path, executed.pop(path), problems))
    group_data = _group_data(path, executed, problems)
    return RawInventory(path, tuple(_hosts(path, groups, group_data, problems)), tuple(problems))


def _execute(path: Path) -> dict[str, object]:
    """The names a file leaves behind. pyinfra gives it ``__file__`` and nothing else."""
    place = place_of(path)
    namespace: dict[str, object] = {"__file__": str(path)}
    code, hints = _compile(path, place)
    try:
        # What an inventory prints must not end up in a command's result.
        with redirect_stdout(sys.stderr):
            exec(code, namespace)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's file may raise anything; it is one line
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None) or 1
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        remedy = hints.get(line) or "correct that line"
        if isinstance(error, NameError) and error.name:
            remedy = _instead(error.name, [name for name in namespace if not name.startswith("__")])
        raise InventoryError([Problem(f"{place}:{line}", what, remedy)]) from None
    deep = [name for name, value in namespace.items() if not name.startswith("_") and _is_deep(value)]
    if deep:
        found, remedy = "is nested too deep, or within itself", "write plain lists and dicts"
        raise InventoryError(Problem(f"{place}: {name}", found, remedy) for name in deep)
    return namespace


def _is_deep(value: object, left: int = _DEEPEST) -> bool:
    """Whether a value goes deeper than anything that is written by hand, as one that holds itself does."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return left == 0 or any(_is_deep(each, left - 1) for each in inner)


def _compile(path: Path, place: str) -> tuple[CodeType, dict[int, str]]:
    """A file's code, and by line what Python advises of it."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith("\ufeff"):
            # As Windows' Notepad saves it; pyinfra does not read it either.
            found = "begins with a byte order mark, which is invisible"
            raise InventoryError([Problem(place, found, "save it as UTF-8 without one")])
        # It would print that on stderr, with this machine's path, of a line at which it then fails.
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            code = compile(text, str(path), "exec")
        unset = list(_unset(place, text))
    except OSError as error:
        remedy = "let this user read it" if isinstance(error, PermissionError) else "write the file, or name another"
        problem = Problem(place, error.strerror or str(error), remedy)
        raise InventoryError([problem]) from None
    except UnicodeDecodeError:
        raise InventoryError([Problem(place, "is not UTF-8", "save it as UTF-8")]) from None
    except SyntaxError as error:
        remedy = "correct that line"
        # Of a comma that is missing at the end of a line Python tells at the next one.
        if error.msg.startswith("invalid syntax"):
            remedy += ", or the one above if it lacks a comma"
        problem = Problem(f"{place}:{error.lineno or 1}", f"SyntaxError: {error.msg}", remedy)
        raise InventoryError([problem]) from None
    except (ValueError, RecursionError, MemoryError) as error:
        # Bytes of nothing before Python 3.11.4, and what is nested deeper than it goes.
        found = f"Python cannot read it: {str(error) or type(error).__name__}"
        raise InventoryError([Problem(place, found, "write plain lists and dicts")]) from None
    if unset:
        raise InventoryError(unset)
    # 'tuple' object is not callable; perhaps you missed a comma?
    return code, {each.lineno: str(each.message).partition("; ")[2] for each in warned}


def _unset(place: str, text: str) -> Iterator[Problem]:
    """``timezone: "Europe/Berlin"``, as YAML has it, is Python too, and sets nothing."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            name = ast.unparse(node.target)
            yield Problem(f"{place}:{node.lineno}", f"`{name}: ...` sets nothing", f"write {name} = ...")


_OTHER_LANGUAGES = {"true": "True", "yes": "True", "false": "False", "no": "False", "null": "None", "none": "None"}


def _instead(name: str, known: list[str]) -> str:
    if name in _OTHER_LANGUAGES:
        return f"write {_OTHER_LANGUAGES[name]}"
    return did_you_mean(name, known, f'if it is text, write it in quotes: "{name}"')


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


Data = dict[str, object]
Entries = list[tuple[str, Data, str]]


def _groups(
    path: Path, names: Mapping[str, object], problems: list[Problem]
) -> Iterator[tuple[str, tuple[Entries, Data]]]:
    """The groups of an inventory file with their hosts and inline data; what pyinfra drops is a problem."""
    imported = _imported(path)
    for name, value in names.items():
        place = f"{place_of(path)}: {name}"
        if name.startswith("_"):
            continue
        if name in GROUPS:
            data: object = {}
            if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], list):
                value, data = value
            if isinstance(value, list) and _is_data(data):
                yield name, (list(_entries(place, value, problems)), data)
            else:
                what = f"a {type(value).__name__} is no group"
                problems.append(Problem(place, what, f'write {name} = [("s1", {{...}})]'))
        elif isinstance(value, list | tuple):
            problems.append(_stray_group(place, name, path))
        elif not (name in imported or callable(value) or name.isupper()):
            shared = f"{path.parent.name}/group_data/{path.stem}.py"
            remedy = f"write shared values in {shared}, or start a helper's name with _"
            problems.append(Problem(place, "is no group, and pyinfra ignores it here", remedy))


def _is_data(value: object) -> TypeGuard[Data]:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _stray_group(place: str, name: str, path: Path) -> Problem:
    remedy = f"write {', '.join(GROUPS)}, or start a helper's name with _"
    if name in ("all", path.stem):
        return Problem(place, "pyinfra makes this group itself", remedy)
    return Problem(place, "unknown group", did_you_mean(name, GROUPS, remedy))


def _entries(place: str, group: list[object], problems: list[Problem]) -> Iterator[tuple[str, Data, str]]:
    """The hosts of a group: name, data, place."""
    seen: dict[str, str] = {}
    for index, item in enumerate(group):
        at = f"{place}[{index}]"
        name, data = item if isinstance(item, tuple) and len(item) == 2 else (item, {})
        if not isinstance(name, str) or not name or not _is_data(data):
            problems.append(Problem(at, "is not a host", 'write ("s1", {...}), a name and its data'))
            continue
        at = f"{at} {name}"
        if name in seen:
            problems.append(Problem(at, f"is also {seen[name]}", "write each host once in a group"))
            continue
        seen[name] = at
        yield name, data, at


def _group_files(path: Path, cwd: Path) -> Iterator[Path]:
    """The files of <cwd>/group_data and then of group_data beside the inventory."""
    # Path.resolve() raises for a link that leads to itself; that there is no such file is told when it is read.
    beside = Path(os.path.realpath(path)).parent
    for folder in dict.fromkeys((cwd / "group_data", beside / "group_data")):
        yield from sorted(folder.glob("*.py"))


def _group_data(
    path: Path, executed: Mapping[Path, dict[str, object]], problems: list[Problem]
) -> dict[str, dict[str, Given]]:
    """Shared data by group, of the files of group_data in their order."""
    known = {"all", "@fake", "home", path.stem, *GROUPS, *existing(path.resolve().parent)}
    found: dict[str, dict[str, Given]] = {}
    for file, names in executed.items():
        place = place_of(file)
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
