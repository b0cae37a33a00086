"""pyinfra's command in processes that have it loaded already.

Each is forked off one that has imported what every run imports, which takes most of a short run's time: it has its own
arguments, folder, environment and output, and ends as a process does.
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

# Nothing here may be imported before pyinfra's command, which makes gevent replace parts of the standard library.
_FORKS = """
import gc, json, os, signal, sys
import pyinfra_cli.main
import homelab.pyinfra_compat
import homelab.operations.charts, homelab.operations.cluster, homelab.operations.storage
from gevent.monkey import get_original
fork, wait = get_original("os", "fork"), get_original("os", "waitpid")
gc.collect()
gc.freeze()  # what all of them have loaded, no child looks through again
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
signal.alarm(asked["deadline"])  # whatever hangs ends by it
os.chdir(asked["cwd"])
os.environ.clear()
os.environ.update(asked["env"])
sys.argv = ["pyinfra", *asked["arguments"]]
sys.path[0] = os.getcwd()
sys.exit(pyinfra_cli.main.main())
"""


# In seconds.
DEADLINE = 120


@cache
def _server() -> subprocess.Popen[str]:
    """Ends with this process, which holds the other end of its stdin."""
    server = subprocess.Popen([sys.executable, "-c", _FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def pyinfra(arguments: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run pyinfra there without a terminal, with no environment but that, and wait for its end.

    Raise AssertionError where it does not end within the deadline.
    """
    server = _server()
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        out.touch()
        err.touch()
        asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "deadline": DEADLINE}
        asked |= {"stdout": str(out), "stderr": str(err)}
        # One that has ended says so by its silence.
        with suppress(BrokenPipeError):
            server.stdin.write(f"{json.dumps(asked)}\n")
            server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, f"what forks pyinfra has ended, with {server.wait(DEADLINE)}"
        code = int(answer)
        assert code != -signal.SIGALRM, f"pyinfra {' '.join(arguments)}: not within {DEADLINE} s\n{err.read_text()}"
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())
