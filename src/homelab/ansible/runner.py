"""Running a playbook: a child process, a private folder that does not stay, its events as they come."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from homelab.ansible.events import Event
from homelab.signals import as_interrupts

INSTALL = (
    "Ansible is not installed here; run pip install 'homelab[ansible]' (in the repository: pip install -e '.[ansible]')"
)
_MINUTE = 60
_GRACE = 20.0  # seconds for ansible-playbook to end when it is told to
# A socket's path has 104 characters at least, and ssh adds to the folder's: /cp/, the name of the connection, a suffix.
_SOCKET = 104 - len("/cp/0123456789.0123456789abcdef") - 1


class AnsibleError(Exception):
    """A playbook cannot be run: one line that says why and what to do."""


@dataclass(frozen=True)
class Outcome:
    """A playbook's end: ansible-playbook's exit code, what it said of errors itself, and what happened.

    `late` tells that it was ended since its time was over.
    """

    rc: int
    said: str
    events: tuple[Event, ...]
    late: bool = False

    def of(self, host: str) -> Event | None:
        """The last word on a host: what failed, else its last task that was not skipped."""
        mine = [event for event in self.events if event.host == host and event.kind != "skipped"]
        wrong = [event for event in mine if event.kind in ("failed", "unreachable") and not event.ignored]
        return next(reversed(wrong or mine), None)


@dataclass(frozen=True)
class Ansible:
    """How playbooks are run: over which inventory, with which password for sudo (None: it needs none).

    `own` tells that the playbook is the toolkit's, so that what a person has set for Ansible does not count.
    """

    inventory: Mapping[str, Any]
    password: SecretStr | None = field(default=None, repr=False)
    own: bool = True
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def only(self, names: Iterable[str]) -> Ansible:
        """The same over these hosts alone: what a playbook calls all hosts are these."""
        known = self.inventory["all"]["hosts"]
        return replace(self, inventory={"all": {"hosts": {name: known[name] for name in names}}})

    def run(
        self,
        playbook: Path,
        *,
        variables: Mapping[str, object] | None = None,
        limit: str | None = None,
        within: int | None = None,
        told: Callable[[Event], None] = lambda event: None,
    ) -> Outcome:
        """Run a playbook; `told` is called with each event as it happens. After `within` seconds it is ended.

        Raise AnsibleError when Ansible is not installed, the playbook is not there, a configuration may be anybody's or
        the child died. An interrupt ends ansible-playbook first; the folder is removed whatever happens.
        """
        if not installed():
            raise AnsibleError(INSTALL)
        if not playbook.is_file():
            raise AnsibleError(f"{playbook}: there is no such playbook; write the path of one")
        with as_interrupts(), _folder() as (folder, lock):
            asked = {
                "private_data_dir": str(folder),
                "project_dir": str(playbook.resolve().parent),
                "playbook": str(playbook.resolve()),
                "inventory": self.inventory,
                "extravars": dict(variables or {}),
                "limit": limit,
                "timeout": within,
            }
            if self.password is not None:
                asked["become_password"] = self.password.get_secret_value()
            return self._run(asked, folder, lock, told)

    def _run(self, asked: Mapping[str, object], folder: Path, lock: int, told: Callable[[Event], None]) -> Outcome:
        child = subprocess.Popen(
            [sys.executable, "-m", "homelab.ansible.child"],
            env=self._environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A Ctrl-C is ours to pass on, or to wait for the end of what cannot be cut.
            start_new_session=True,
            pass_fds=(lock,),
        )
        stdin, stdout = cast(Any, child.stdin), cast(Any, child.stdout)
        errors = _Drained(cast(Any, child.stderr))
        events: list[Event] = []
        try:
            stdin.write(json.dumps(asked))
            stdin.close()
            for line in stdout:
                if event := Event.of_line(line):
                    events.append(event)
                    told(event)
            child.wait()
        except BrokenPipeError:
            child.wait()
        finally:
            _end(child)
        end = events[-1] if events and events[-1].kind == "end" else None
        if end is None:
            raise AnsibleError(f"ansible-runner ended with exit {child.returncode}: {errors.last or 'it said nothing'}")
        return Outcome(end.rc or 0, end.said, tuple(events[:-1]), end.late)

    def _environment(self, folder: Path) -> dict[str, str]:
        """The child's environment: without pyinfra's and, for a playbook of ours, without what was set for Ansible."""
        dropped = ("PYINFRA_", "ANSIBLE_") if self.own else ("PYINFRA_",)
        kept = {key: value for key, value in self.environ.items() if not key.startswith(dropped)}
        forced = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            # Ansible does not start in a locale of another encoding.
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_TIMEOUT": "20",
        }
        if len(str(folder)) <= _SOCKET:
            forced["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(folder / "cp")
            forced["ANSIBLE_SSH_ARGS"] = "-C -o ControlMaster=auto -o ControlPersist=10s"
        else:
            forced["ANSIBLE_SSH_ARGS"] = "-C -o ControlPath=none"
        if self.own:
            (folder / "ansible.cfg").touch(0o600)
            forced |= {
                "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
                "ANSIBLE_HOME": str(folder / "home"),
                "ANSIBLE_FORKS": "20",
                # With a terminal what a command prints and its errors come as one.
                "ANSIBLE_SSH_USETTY": "False",
            }
        elif configuration := self._configuration(kept):
            forced["ANSIBLE_CONFIG"] = configuration
        return kept | forced

    @staticmethod
    def _configuration(environ: Mapping[str, str]) -> str | None:
        """A person's ansible.cfg as Ansible finds it for them: told, else where they are; None for the others.

        ansible-playbook runs in the playbook's folder, and looks there, for ~/.ansible.cfg and in /etc by itself.
        Raise AnsibleError for one that anybody may have put there: Ansible heeds none of a folder like /tmp.
        """
        told = environ.get("ANSIBLE_CONFIG")
        if told:
            return os.path.abspath(os.path.expanduser(told))  # noqa: PTH100, PTH111 - pathlib raises for nobody's home
        path = Path.cwd() / "ansible.cfg"
        if not path.is_file():
            return None
        if path.parent.stat().st_mode & stat.S_IWOTH:
            raise AnsibleError(
                f"{path}: anybody may write to its folder, so it may be anybody's; run it from another folder, or say "
                f"that it is yours: ANSIBLE_CONFIG={path}"
            )
        return str(path)


def installed() -> bool:
    """Whether the extra `ansible` is there. Neither is imported: that is for the child alone."""
    return all(importlib.util.find_spec(name) is not None for name in ("ansible", "ansible_runner"))


_PREFIX, _LOCK = "homelab-ansible-", "lock"


@contextmanager
def _folder() -> Iterator[tuple[Path, int]]:
    """A folder for ansible-runner's files, which hold what hosts said in clear: nobody else's, and gone afterwards.

    With it the descriptor of a lock that is held for as long as somebody is at it, a child that outlives us too.
    """
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # 0700
    try:
        with (folder / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield folder, file.fileno()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(temporary: Path) -> None:
    """Remove what runs that were killed have left."""
    for lock in temporary.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # somebody else's, or just gone
            # Who has just made one is about to lock it.
            if time.time() - lock.stat().st_mtime > _MINUTE:
                with lock.open("r") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(lock.parent, ignore_errors=True)


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class _Drained:
    """What a child says on stderr, read as it comes so that it never waits; `last` is its last line."""

    def __init__(self, stream: Any) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: Any) -> None:
        self._lines = [line.strip() for line in stream if line.strip()][-20:]

    @property
    def last(self) -> str:
        self._thread.join(5)
        return self._lines[-1] if self._lines else ""
