"""What K3s's journal says when it does not start, and what that means."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Pattern, cause and remedy; the first that matches the journal's newest lines is told. Sources: facts/k3s.md 2.5, 2.6,
# 2.10 and the K3s issues named there.
KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"bootstrap data already found and encrypted with different token",
        "this node's token is not the cluster's; put the old token back",
    ),
    (
        r"critical configuration (value )?mismatch",
        "a setting that all servers share differs here; deploy to all servers",
    ),
    (
        r"(duplicate node name|Node password rejected)",
        "the cluster still knows an older node of this name; delete that Node",
    ),
    (r"failed to normalize token", "the token file is empty or malformed; remove it and deploy again"),
    (
        r"token CA hash does not match",
        "this node was to join another cluster; check which one, then uninstall K3s here",
    ),
    (r"not authorized|401 Unauthorized", "the token is not the cluster's; check k3s_token"),
    (r"too many learner", "another server is still joining; deploy again when it has become a voter"),
    (
        r"etcd cluster join failed|etcd member.*(removed|not found)",
        "the cluster has removed this member; uninstall K3s here and deploy again",
    ),
    (r"no space left on device", "the disk is full; make room"),
    (r"address already in use", "a port that K3s needs is taken; see which process has it with ss -ltnp"),
    (r"x509: certificate (has expired|is not yet valid)", "the clock or the certificates are off; check timedatectl"),
    (r"host using cgroup v1", "this Kubernetes wants cgroup v2; boot the host with it"),
    (
        r"memory cgroup|cgroup.*memory",
        "the kernel gives no memory cgroup; add cgroup_enable=memory to its arguments and reboot",
    ),
    (
        r"flag provided but not defined|unknown flag",
        "this K3s does not know a setting; see server_config and agent_config",
    ),
    (r"belonged to a cluster and its data", "the data disk is missing; mount it, or uninstall K3s there to rejoin"),
    (
        r"no route to host|connection refused|i/o timeout|network is unreachable",
        "a server cannot be reached on 6443 from there; check network and firewall",
    ),
)

_NOISE = re.compile(r"level=(info|debug)|^[IW]\d{4} ")
_MESSAGE = re.compile(r'msg="((?:[^"\\]|\\.)*)"')


def last_words(journal: Iterable[str]) -> str:
    """The journal's last line that tells of a failure, shortened to its message; "" when there is none."""
    for line in reversed(list(journal)):
        if _NOISE.search(line):
            continue
        if re.search(r"level=(fatal|error)|^[EF]\d{4} |fatal|not starting|failed to|panic:|failed with result", line):
            found = _MESSAGE.search(line)
            return (found[1].replace('\\"', '"') if found else line.strip())[:300]
    return ""


def cause(journal: Iterable[str]) -> str:
    """The known cause behind a journal's last fatal lines; "" when it is not known."""
    lines = [line for line in journal if not _NOISE.search(line)][-20:]
    for line in reversed(lines):
        for pattern, meaning in KNOWN:
            if re.search(pattern, line, re.IGNORECASE):
                return meaning
    return ""
