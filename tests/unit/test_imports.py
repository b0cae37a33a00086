"""Arrows point one way: deploys → operations, facts → storage, k3s → model; cli → health."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "homelab"

# Room, and what a file in it must not import.
FORBIDDEN = {
    "model": ("pyinfra", "kubernetes", "homelab.k3s", "homelab.storage", "homelab.settings"),
    "k3s": ("pyinfra", "kubernetes", "homelab.facts", "homelab.operations", "homelab.health"),
    "storage": ("pyinfra", "kubernetes", "homelab.facts", "homelab.operations", "homelab.health"),
    "nas": ("pyinfra", "kubernetes", "homelab.facts", "homelab.operations", "homelab.health"),
    "charts": ("pyinfra", "kubernetes", "homelab.facts", "homelab.operations", "homelab.health", "homelab.settings"),
    "facts": ("homelab.operations", "homelab.health", "homelab.cli"),
    "operations": ("homelab.health", "homelab.cli"),
    "ansible": ("pyinfra", "kubernetes", "homelab.operations", "homelab.facts", "homelab.pyinfra_compat"),
    "patch": ("pyinfra", "kubernetes", "homelab.operations", "homelab.facts", "homelab.pyinfra_compat", "homelab.cli"),
    "health": ("pyinfra", "homelab.facts", "homelab.operations", "homelab.pyinfra_compat"),
    "health/checks": (
        "kubernetes",
        "homelab.api",
        "homelab.health.reading",
        "homelab.model",
        "homelab.settings",
    ),
    "api.py": ("pyinfra", "homelab.health", "homelab.model", "homelab.settings"),
    "settings.py": ("pyinfra", "kubernetes", "homelab.k3s", "homelab.storage"),
    "description.py": ("pyinfra", "kubernetes"),
    "cli.py": ("pyinfra", "homelab.operations", "homelab.facts", "homelab.pyinfra_compat"),
}
# Nothing in the package knows the deploys or the inventory's own modules.
NOWHERE = ("deploys", "inventory", "tests", "config")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that a file imports, also inside functions; relative ones are spelled out."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = ["homelab", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def under(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def files(room: str) -> list[Path]:
    path = SOURCE / room
    return [path] if path.suffix else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in files(room)
        if path.exists()
        for name in imports(path)
        if any(under(name, module) for module in FORBIDDEN[room])
    ]
    assert found == []


def test_one_file_knows_the_kubernetes_client() -> None:
    """Whoever imports something of the package does not pay for the client, which is loaded in parts."""
    knows = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for name in imports(path)
        if under(name, "kubernetes")
    }
    assert knows == {"kubernetes_compat.py"}


def test_one_file_of_health_knows_the_inventory() -> None:
    """Whoever imports a check or the report does not pay for it."""
    knows = {path.name for path in files("health") for name in imports(path) if under(name, "homelab.model")}
    assert knows == {"expected.py"}


def test_ansible_is_imported_by_its_child_process_alone() -> None:
    """It hangs in a process that gevent has patched; and nobody imports the child."""
    foreign = {
        str(path.relative_to(SOURCE)): name
        for path in SOURCE.rglob("*.py")
        for name in imports(path)
        if under(name, "ansible") or under(name, "ansible_runner") or under(name, "homelab.ansible.child")
    }
    assert foreign == {"ansible/child.py": "ansible_runner"}


def test_nothing_imports_deploys_or_inventory() -> None:
    found = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        for name in imports(path)
        if any(under(name, module) for module in NOWHERE)
    ]
    assert found == []
