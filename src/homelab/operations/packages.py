"""Debian packages, all in one apt-get."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.host import packages

# apt keeps no time of its own last update that every system has, so the toolkit keeps one.
# apt-get waits for dpkg's lock by itself (DPkg::Lock::Timeout), not for that of the lists, which a fresh system's
# first apt-daily holds. It never removes a package: a conflict is the owner's to solve.
_INSTALL = r"""
set -eu
export LC_ALL=C %(environment)s
apt() {
  apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
stamp=/var/lib/homelab/apt-updated tries=0
update() {
  until said="$(apt update 2>&1)"; do
    case "$said" in
      *"Could not get lock"*|*"is held by"*) tries=$((tries + 1)); [ "$tries" -lt 30 ] && sleep 10 && continue ;;
    esac
    printf '%%s\n' "$said" >&2; exit 1
  done
  mkdir -p -m 0755 "${stamp%%/*}"; : >"$stamp"
}
[ -n "$(find "$stamp" -mmin -1440 2>/dev/null)" ] || update
install() { apt install -y --no-install-recommends --no-remove %(names)s; }
install || { update; install; }
for name in %(plain)s; do
  case "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" in
    *installed) ;;
    *) echo "$name: apt installed something else for it; write the real package's name in packages" >&2; exit 1 ;;
  esac
done
"""


@operation()
def installed(missing: tuple[str, ...], patience: int = 1800) -> Generator[StringCommand, None, None]:
    """Ensure packages, `name` or `name=version`; the lists are fetched anew when they are a day old or do not do.

    Raises what pyinfra does when it takes more than `patience` seconds.
    """
    if not missing:
        host.noop("all packages are installed")
        return
    environment = packages.environment()
    yield StringCommand(
        _INSTALL
        % {
            "environment": " ".join(f"{key}={value}" for key, value in environment.items()),
            "names": " ".join(shlex.quote(name) for name in missing),
            "plain": " ".join(shlex.quote(name.partition("=")[0]) for name in missing),
        },
        _timeout=patience,
    )
