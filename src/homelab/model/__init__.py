"""The whole inventory as one frozen, strict shape, and refusals that say what to write instead."""

from homelab.model.base import Base
from homelab.model.choice import choose
from homelab.model.cluster import Cluster
from homelab.model.home import Home
from homelab.model.host import Host, Role
from homelab.model.inventory import load, validate
from homelab.model.labels import Taint
from homelab.model.problems import InventoryError, Problem
from homelab.model.raw import RawHost, RawInventory
from homelab.model.reading import read
from homelab.model.secret import SecretRef

__all__ = [
    "Base",
    "Cluster",
    "Home",
    "Host",
    "InventoryError",
    "Problem",
    "RawHost",
    "RawInventory",
    "Role",
    "SecretRef",
    "Taint",
    "choose",
    "load",
    "read",
    "validate",
]
