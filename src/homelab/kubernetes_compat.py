"""The official Kubernetes client's reading of kubeconfigs and its transport, without the rest of the client.

`import kubernetes` also loads pydantic, WebSockets, OAuth and the dynamic client, which is half of what a whole look at
a small cluster takes. So its packages' own `__init__` are left out, and what only an OpenID refresh needs is loaded by
that. All reliance on how the client is laid out is here; `tests/unit/test_kubernetes_compat.py` fails when it
moves, and until somebody has followed the client is loaded whole.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class Client(NamedTuple):
    """What is used of the client, by its own names."""

    Configuration: Any
    RESTClientObject: Any
    ApiException: Any
    ConfigException: Any
    list_kube_config_contexts: Any
    load_incluster_config: Any
    load_kube_config: Any


def load() -> Client:
    """The parts of the client, as the process has them already, else by themselves."""
    if "kubernetes" in sys.modules:
        return _parts()
    try:
        with _apart():
            return _parts()
    except (ImportError, AttributeError):
        return _parts()


def _parts() -> Client:
    from kubernetes.client.configuration import Configuration
    from kubernetes.client.rest import ApiException, RESTClientObject
    from kubernetes.config import (
        ConfigException,
        list_kube_config_contexts,
        load_incluster_config,
        load_kube_config,
    )

    return Client(
        Configuration,
        RESTClientObject,
        ApiException,
        ConfigException,
        list_kube_config_contexts,
        load_incluster_config,
        load_kube_config,
    )


@contextmanager
def _apart() -> Iterator[None]:
    """Within, `kubernetes` is found without what its packages' `__init__` load; afterwards nothing is left of it, and
    whoever imports the client gets it whole, as a copy of its own. Raise ImportError when there is none."""
    spec = find_spec("kubernetes")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("kubernetes")
    root = Path(next(iter(spec.submodule_search_locations)))
    before = dict(sys.modules)
    shells = [_shell(f"kubernetes{name}", root / name[1:]) for name in ("", ".client", ".utils")]
    shells[1].ApiClient = _late("kubernetes.client", "ApiClient")  # type: ignore[attr-defined]
    oauth = [ModuleType("oauthlib"), ModuleType("oauthlib.oauth2"), ModuleType("requests_oauthlib")]
    # The loader looks for the errors of OAuth only where it has begun with it, and by then it is there.
    oauth[0].__getattr__ = lambda name: getattr(import_module("oauthlib"), name)  # type: ignore[method-assign]
    oauth[2].OAuth2Session = _late("requests_oauthlib", "OAuth2Session")  # type: ignore[attr-defined]
    # Of which the client only wants to know how many connections to keep.
    processes = ModuleType("multiprocessing")
    processes.cpu_count = lambda: os.cpu_count() or 1  # type: ignore[attr-defined]
    spared = [*oauth, processes]
    sys.modules |= {each.__name__: each for each in shells}
    sys.modules |= {each.__name__: each for each in spared if each.__name__ not in before}
    try:
        shells[1].Configuration = import_module("kubernetes.client.configuration").Configuration  # type: ignore[attr-defined]
        yield
    finally:
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in ("kubernetes", *(each.__name__ for each in spared)):
                del sys.modules[name]


def _shell(name: str, folder: Path) -> ModuleType:
    """A package whose modules are found and whose `__init__` has not run."""
    shell = ModuleType(name)
    shell.__path__ = [str(folder)]
    return shell


def _late(module: str, name: str) -> Any:
    """A class of a module that is loaded when one is made."""

    def make(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return make
