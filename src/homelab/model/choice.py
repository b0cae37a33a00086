"""Which inventory is meant."""

from collections.abc import Mapping
from pathlib import Path

from homelab.model.problems import InventoryError, Problem, did_you_mean


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
