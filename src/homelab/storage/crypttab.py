"""What is opened at boot: the toolkit's lines of crypttab."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from homelab.storage import guard, mappings
from homelab.storage.records import Record

PATH = "/etc/crypttab"
_BEGIN, _END = "# homelab begin: the toolkit writes these lines", "# homelab end"
# nofail: the rest of the system does not wait. headless: where the key is missing nobody is asked at the console.
# Without `discard` the disks are not told what is unused, which would show to who looks at them later.
_OPTIONS = "luks,nofail,headless=true,x-systemd.device-timeout=90s"


def lines(pools: Iterable[Record]) -> str:
    """The lines for all disks of these pools, absent ones too."""
    entries = [
        f"luks-{uuid} UUID={uuid} {mappings.key_path(each.pool)} {_OPTIONS}"
        for each in pools
        for uuid in each.luks.values()
    ]
    return "\n".join([_BEGIN, *entries, _END]) + "\n"


def stands(text: str | None, pools: tuple[Record, ...]) -> bool:
    """Whether crypttab has the toolkit's lines, and nobody else's for the same disks."""
    if not pools:
        return _BEGIN not in (text or "")
    wanted = lines(pools)
    others = (text or "").replace(wanted, "")
    return wanted in (text or "") and _BEGIN not in others and not any(uuid in others for uuid in _uuids(pools))


def written(pools: tuple[Record, ...]) -> str:
    """Put the toolkit's lines in crypttab, and drop others for the same disks."""
    add = f"printf '%s' {shlex.quote(lines(pools))} >>\"$new\"\n" if pools else ""
    return f"""\
set -eu
umask 022
tab={PATH} new={PATH}.homelab-new
[ -e "$tab" ] || printf '# <target name> <source device> <key file> <options>\\n' >"$tab"
{guard.whole_block("$tab")}awk -v uuids={shlex.quote(" ".join(_uuids(pools)))} '
  BEGIN {{ n = split(uuids, uuid, " ") }}
  /^# homelab begin/ {{ skip = 1 }}
  {{ drop = skip; for (i = 1; i <= n; i++) if (index($0, uuid[i])) drop = 1; if (!drop) print }}
  /^# homelab end/ {{ skip = 0 }}' "$tab" >"$new"
{add}sync "$new"; mv -fT "$new" "$tab"
systemctl daemon-reload
"""


def _uuids(pools: Iterable[Record]) -> list[str]:
    return [uuid for each in pools for uuid in each.luks.values()]
