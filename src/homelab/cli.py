"""The `homelab` command: parse, call, print, exit."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from homelab.model import Home

# Imports of pydantic, rich and what needs them sit in the commands: `homelab --help` starts without them.

app = typer.Typer(
    name="homelab",
    help="Know what your home is, and how it is.",
    epilog="Example: homelab inventory",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    text = "text"
    json = "json"


@app.callback()
def homelab() -> None:
    """A callback keeps the commands' names also while there is one command only."""


@app.command(
    epilog="Example: HOMELAB_ENV=sandbox homelab inventory --format json",
    short_help="Validate the inventory and describe it.",
)
def inventory(
    format: Annotated[Format, typer.Option("--format", help="How to print the description.")] = Format.text,
) -> None:
    """Validate the inventory, secrets included, and print what it describes.

    The inventory is inventory/$HOMELAB_ENV.py; unset: home.py if it exists, else sandbox.py. It is looked for
    from the current directory upwards. Exits with 2 and prints every problem when something is wrong.
    """
    from homelab import description
    from homelab.model import InventoryError, choose, load
    from homelab.settings import Settings, SettingsError

    try:
        Settings.read(os.environ)
        folder = description.find(Path.cwd())
        path = choose(folder, os.environ)
        print(f"homelab: inventory {path.parent.name}/{path.name}", file=sys.stderr)  # noqa: T201
        home: Home = load(path, cwd=folder.parent)
        description.prove_secrets(home, folder.parent)
    except (InventoryError, SettingsError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        raise typer.Exit(2) from None
    if format is Format.json:
        print(description.as_json(home))  # noqa: T201
    else:
        description.as_text(home)


def main() -> None:
    """The entry point of `homelab`."""
    app()
