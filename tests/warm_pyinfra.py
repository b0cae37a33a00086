"""pyinfra's command in processes that have it loaded already.

Each is forked off one that has imported what every run imports, which takes most of a short run's time: it has its own
arguments, folder, environment and output, and ends as a process does.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# Nothing here may be imported before pyinfra's command, which makes gevent replace parts of the standard library.
_FORKS = """
import json, os, signal, sys
import pyinfra_cli.main
import homelab.pyinfra_compat
import homelab.operations.charts, homelab.operations.cluster, homelab.operations.storage
from gevent.monkey import get_original
fork, wait = get_original("os", "fork"), get_original("os", "waitpid")
for line in sys.stdin:
    asked = json.loads(line)
    child = fork()
    if child == 0:
        break
    print(os.waitstatus_to_exitcode(wait(child, 0)[1]), flush=True)
else:
    sys.exit()
for number, name in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
    os.dup2(os.open(name, os.O_RDWR), number)
signal.alarm(120)  # whatever hangs ends by it
os.chdir(asked["cwd"])
os.environ.clear()
os.environ.update(asked["env"])
sys.argv = ["pyinfra", *asked["arguments"]]
sys.path[0] = os.getcwd()
sys.exit(pyinfra_cli.main.main())
"""


@cache
def _server() -> subprocess.Popen[str]:
    """Ends with this process, which holds the other end of its stdin."""
    server = subprocess.Popen([sys.executable, "-c", _FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def pyinfra(arguments: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run pyinfra there without a terminal, with no environment but that, and wait for its end."""
    server = _server()
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        out.touch()
        err.touch()
        asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "stdout": str(out), "stderr": str(err)}
        server.stdin.write(f"{json.dumps(asked)}\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())
