"""What is plain is taken without pydantic, as typer would have taken it; everything else is typer's own."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from homelab.typer_compat import PlainGroup

HEALTH = (
    "health --kubeconfig none --timeout 2.5 --only POD --only NET --format json --fail-on critical -n a --severity info"
)


class Size(StrEnum):
    small = "small"
    large = "Large"


def app(cls: type[TyperGroup], heard: list[Any]) -> typer.Typer:
    made = typer.Typer(cls=cls, invoke_without_command=True, add_completion=False)

    @made.callback()
    def main(
        name: Annotated[str, typer.Option("--name")] = "",
        maybe: Annotated[str | None, typer.Option("--maybe")] = None,
        number: Annotated[float, typer.Option("--number", min=1, max=9)] = 3,
        count: Annotated[int, typer.Option("--count")] = 3,
        size: Annotated[Size, typer.Option("--size")] = Size.small,
        several: Annotated[list[str] | None, typer.Option("--several")] = None,
        on: Annotated[bool, typer.Option("--on")] = False,
        path: Annotated[Path | None, typer.Option("--path")] = None,
        parsed: Annotated[str | None, typer.Option("--parsed", parser=str.upper)] = None,
        called: Annotated[str, typer.Option("--called", callback=lambda value: f"<{value}>")] = "",
        must: Annotated[str, typer.Option("--must", envvar="MUST")] = "x",
    ) -> None:
        values = (name, maybe, number, count, size, several, on, path, parsed, called, must)
        heard.extend((type(each), each) for each in values)

    return made


def run(cls: type[TyperGroup], arguments: str) -> tuple[int, str, list[Any]]:
    heard: list[Any] = []
    done = CliRunner().invoke(app(cls, heard), arguments.split(), env={"MUST": "y"})
    return done.exit_code, done.output, heard


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--help",
        "--name a --maybe b --number 2 --count 4 --size Large --several a --several b --on --path /x --parsed a",
        "--called c --must z",
        *(
            f"--number {each}"
            for each in ("1", "9", "0.5", "10", "2.5", "1e0", "inf", "nan", "٣", "-1", "+2", "1_0", "")
        ),
        *(f"--size {each}" for each in ("large", "small", "", "Size.small", "medium")),
        "--count 1.5",
        "--name",
        "--nonsense",
    ],
)
def test_it_is_as_typer_takes_it(arguments: str) -> None:
    assert run(PlainGroup, arguments) == run(TyperGroup, arguments)


def test_a_look_at_a_cluster_does_not_load_pydantic() -> None:
    code = f"import sys; from homelab.cli import main; sys.argv = {['homelab', *HEALTH.split()]!r}\ntry: main()\n"
    code += "except SystemExit: print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n"), done
