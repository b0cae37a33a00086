"""Every reliance on pyinfra's private names, in one place.

`config.py` calls `install()` before pyinfra loads the inventory. Each patch has a test that fails when upstream moves
(`tests/unit/test_pyinfra_compat.py`); the version is pinned to ~=3.10 beside it.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import click
import gevent
import pyinfra.api.operations
import pyinfra.api.util
import pyinfra.connectors.util
import pyinfra_cli.cli as cli
import pyinfra_cli.prints as prints
import pyinfra_cli.util as util
from paramiko import SSHException
from pyinfra import host as current_host
from pyinfra import logger, state
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError, NoGroupError, PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State, StateOperationMeta
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import clear_askpass_cache
from pyinfra.context import ctx_state
from pyinfra_cli.exceptions import CliError, UnexpectedExternalError

from homelab.model import Home, InventoryError, choose, load
from homelab.settings import Settings, SettingsError


class Refusal(CliError, PyinfraError):  # type: ignore[misc]
    """What cannot or must not be done, one line a problem; pyinfra ends with exit 1 and no traceback.

    It is a `CliError` so that the command line shows it as it is, and a `PyinfraError` so that pyinfra does not take it
    for a bug in the deploy file it was raised from.
    """

    def __init__(self, lines: Iterable[object]):
        super().__init__("\n".join(str(line) for line in lines))
        # Before the first change a run is refused, after it stopped: the reader has to know which.
        self.word = "stopped" if ctx_state.isset() and state.is_executing else "refused"

    def show(self, file: Any = None) -> None:
        for line in self.message.splitlines():
            logger.error(f"--> {click.style(self.word, 'red', bold=True)}: {line}")


_home: Home | None = None


def home() -> Home:
    """The validated inventory of this run; raise Refusal when pyinfra was given something else than one of ours."""
    if _home is None:
        raise Refusal(["this deploy needs a homelab inventory; run it as `pyinfra inventory <deploy>`"])
    return _home


_charts = Path("charts")


def charts_folder() -> Path:
    """The folder of charts beside this run's inventory."""
    return _charts


_given: dict[str, Any] = {}


def options() -> dict[str, Any]:
    """pyinfra's command line options of this run, by parameter name; empty outside its command line."""
    context = click.get_current_context(silent=True)
    # A deploy file is read in greenlets, where click knows no context: `make_inventory` has noted it for them.
    return dict(context.params) if context is not None else _given


def is_dry() -> bool:
    """Whether this run only shows its plan: `--dry`, or `--json` without `-y`."""
    given = options()
    return bool(given.get("dry") or (given.get("json_output") and not given.get("yes")))


def install() -> None:
    """Make pyinfra's command line take the inventory folder, and refuse what it would do wrongly in silence."""
    cli.make_inventory = _make_inventory(cli.make_inventory)
    cli._set_override_data = _override_data(cli._set_override_data)
    cli._apply_inventory_limit = _apply_limit
    cli._apply_inventory_exclude = _apply_exclude
    cli._set_fail_prompts = lambda state, config: None  # a failed host stops the run: there is nothing to ask
    cli._do_confirm = _confirm(cli._do_confirm)
    cli.connect_all = _connect_all
    cli.run_ops = _run_ops(cli.run_ops)
    vars(util)["exec_file"] = _exec_file(util.exec_file)
    operations = vars(pyinfra.api.operations)
    operations["_run_host_op_with_context"] = _run_host_op(operations["_run_host_op_with_context"])
    operation = vars(importlib.import_module("pyinfra.api.operation"))
    operation["solve_operation_consistency"] = _solved(operation["solve_operation_consistency"])
    for name in ("build_plan_json", "build_results_json"):
        vars(prints)[name] = _named_by_host(vars(prints)[name])
    vars(prints)["pretty_op_name"] = _all_names
    vars(prints)["print_json"] = _print_json(prints.print_json)
    cli._exit = _exit(cli._exit)
    logger.addHandler(_Warned(logging.WARNING))
    vars(pyinfra.connectors.util)["getpass"] = _getpass(pyinfra.connectors.util.getpass)
    # Of each frame it only reads file and line; to look for the source around it took most of a plan's time.
    vars(pyinfra.api.util).update(stack=_stack, getframeinfo=_getframeinfo)
    # It prints a traceback for what it raises as well; here every such error is told in one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    setattr(Inventory, "get_active_hosts", _active_hosts)
    # pyinfra has set its own before it reads config.py, which ends a cut deploy with exit 0.
    signal.signal(signal.SIGINT, _interrupted)
    # pyinfra would trust whoever answers first; who wants that says so in the inventory.
    SSHConnector.data_meta["ssh_strict_host_key_checking"].default = "yes"
    if os.environ.get("HOMELAB_TCP_NODELAY", "1") != "0":
        setattr(SSHConnector, "_connect", _nodelay(SSHConnector._connect))


_stack = partial(inspect.stack, 0)
_getframeinfo = partial(inspect.getframeinfo, context=0)


# The inventory: a folder, validated at the door
#


def _make_inventory(original: Callable[..., Inventory]) -> Callable[..., Inventory]:
    def make_inventory(inventory: str, **kwargs: Any) -> Inventory:
        global _home, _charts
        _given.update(options())
        _refuse_options()
        path = Path(inventory)
        try:
            Settings.read(os.environ)
            if path.is_dir():
                path = choose(path, os.environ)
            if path.is_file():
                _home, _charts = load(path), path.resolve().parent.parent / "charts"
        except (InventoryError, SettingsError) as error:
            raise Refusal(str(error).splitlines()) from error
        if _home is not None:
            inventory = str(path)
            logger.info(f"    Inventory: {click.style(inventory, bold=True)} (environment {_home.environment})")
        made = original(inventory, **kwargs)
        if len(made) == 0:
            raise Refusal([f"inventory {inventory!r} has no hosts; write a file in inventory/ and name that folder"])
        return made

    return make_inventory


def _override_data(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def override_data(data: Iterable[str], *arguments: Any) -> dict[str, Any]:
        data = list(data)
        if wrong := [item for item in data if "=" not in item]:
            raise Refusal(f"--data {item}: no value; write --data {item}=VALUE" for item in wrong)
        return original(data, *arguments)

    return override_data


# What a person may say anew for one run: who logs in and how, never whether host keys are verified.
_CONNECTION = ("ssh_user", "ssh_key", "ssh_port")


def _refuse_options() -> None:
    given = options()
    deploys = [name for name in given.get("operations") or () if name.endswith(".py")]
    problems = []
    if given.get("no_wait"):
        problems.append("--no-wait: pyinfra exits 0 with it whatever fails; leave it out")
    if deploys and given.get("serial"):
        problems.append("--serial: the deploys order the hosts themselves; leave it out")
    if deploys and given.get("fail_percent"):
        problems.append("--fail-percent: a cluster is not built on half a result; leave it out")
    for item in given.get("data") or () if deploys else ():
        key = item.split("=", 1)[0]
        if key not in _CONNECTION and not all("day2" in Path(name).parts for name in deploys):
            problems.append(f"--data {key}: bypasses the inventory's validation; write it in the inventory")
    if any("day2" in Path(name).parts for name in deploys) and not os.environ.get("HOMELAB_ENV"):
        problems.append(
            "HOMELAB_ENV: is not set; write HOMELAB_ENV=home before it, so that no other inventory is meant"
        )
    applies = deploys and not (
        given.get("yes") or is_dry() or given.get("debug_operations") or given.get("debug_facts")
    )
    if applies and not sys.stdin.isatty():
        problems.append("nobody can confirm, stdin is not a terminal; add -y to apply or --dry to see the plan")
    if problems:
        raise Refusal(problems)


def _match(inventory: Inventory, patterns: Iterable[str], option: str) -> list[Host]:
    found: list[Host] = []
    problems = []
    # As Ansible and `homelab play` have it, one option can name several.
    for pattern in (each for listed in patterns for each in listed.split(",")):
        try:
            hosts = inventory.get_group(pattern)
        except NoGroupError:
            hosts = [host for host in inventory if fnmatch(host.name, pattern)]
        if not hosts:
            names = ", ".join(host.name for host in inventory)
            problems.append(f"{option} {pattern or 'with an empty name'}: no such host or group; there are {names}")
        found.extend(hosts)
    if problems:
        raise Refusal(problems)
    return [host for host in inventory if host in found]


def _away(host: Host) -> bool:
    return _home is not None and any(known.inventory_name == host.name and known.away for known in _home.hosts)


def _apply_limit(inventory: Inventory, patterns: Iterable[str] | None) -> list[Host] | None:
    """The hosts to contact, in inventory order; a host that is `away` is listed and counted, never contacted."""
    chosen = _match(inventory, patterns, "--limit") if patterns else list(inventory)
    present = [host for host in chosen if not _away(host)]
    if not present:
        raise Refusal([f"{host.name} is marked away: True; nothing is left to do" for host in chosen])
    for host in chosen:
        if host not in present:
            logger.info(f"    {host.name} is away: it is counted, but left alone")
    return present if len(present) < len(list(inventory)) else None


def _apply_exclude(inventory: Inventory, limit: list[Host] | None, patterns: Iterable[str] | None) -> list[Host] | None:
    if not patterns:
        return limit
    excluded = _match(inventory, patterns, "--exclude")
    remaining = [host for host in (limit if limit is not None else inventory) if host not in excluded]
    if not remaining:
        raise Refusal(["--exclude: leaves no host; leave it out"])
    return remaining


def _active_hosts(inventory: Inventory) -> list[Host]:
    # pyinfra keeps them in a set, so serial runs and "the first" host differed from run to run.
    return [host for host in inventory if host in inventory.state.active_hosts]


# Connecting
#


def _connect_all(state: State) -> None:
    """Connect to every selected host; raise Refusal naming each that cannot be reached, before anything is done."""
    hosts = [host for host in state.inventory if state.is_host_in_limit(host)]
    problems: dict[Host, str] = {}

    def connect(host: Host) -> None:
        try:
            host.connect(show_errors=False, raise_exceptions=True)
        except ConnectError as error:
            problems[host] = _unreachable(host, str(error.args[0]))
        except PyinfraError as error:
            # Before it connects pyinfra reads the key, which may not be there or want a passphrase.
            problems[host] = f"{host.name}: ssh_key: {error}; correct it, or leave it out; nothing was changed"

    gevent.joinall([state.pool.spawn(connect, host) for host in hosts], raise_error=True)
    for host in hosts:
        if host not in problems:
            state.activate_host(host)
    if problems:
        raise Refusal(problems[host] for host in hosts if host in problems)


def _unreachable(host: Host, why: str) -> str:
    if "No host key for" in why:
        return (
            f"{host.name}: its SSH host key is not known here; log in once with ssh, compare the fingerprint with the "
            "host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there), and run this again"
        )
    why = why.replace("[Errno None] ", "")  # paramiko's, of which several errors have become one
    return (
        f"{host.name}: cannot be reached ({why}); "
        "mend it, or write away: True at this host to go on without it; nothing was changed"
    )


def _nodelay(original: Callable[[SSHConnector], None]) -> Callable[[SSHConnector], None]:
    def connect(self: SSHConnector) -> None:
        original(self)
        transport = self.client.get_transport() if self.client is not None else None
        if transport is not None:
            # paramiko leaves Nagle's algorithm on, which with delayed ACKs costs some 45 ms a command.
            cast(socket.socket, transport.sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A cut cable must end the run in minutes, not hours.
            transport.set_keepalive(30)

    return connect


def logged_in_by_key(host: Host) -> bool:
    """Whether this run's own SSH login to a host was by key, and not by a password that is still needed then."""
    client = getattr(host.connector, "client", None)
    transport = client.get_transport() if client is not None else None
    handler = transport.auth_handler if transport is not None else None
    return handler is not None and handler.auth_method == "publickey"


class NewConnection:
    """A connection of its own to a host, made and authenticated as pyinfra's; raise ConnectError when it cannot be."""

    def __init__(self, host: Host):
        # @fake and @local have no connection that could break.
        fresh = isinstance(host.connector, SSHConnector)
        self._connector = SSHConnector(host.state, host) if fresh else host.connector
        if fresh:
            self._connector.connect()

    def run(self, script: str) -> tuple[bool, str]:
        """Run a script as root; give whether it succeeded, and what it said of it."""
        ok, output = self._connector.run_shell_command(
            StringCommand(script), print_output=False, print_input=False, _sudo=True, _timeout=20
        )
        return ok, " ".join(output.stderr_lines)

    def close(self) -> None:
        if isinstance(self._connector, SSHConnector) and self._connector.client is not None:
            self._connector.client.close()


def reconnect(host: Host) -> None:
    """Connect to a host anew, after it went away; raise ConnectError while it cannot be reached."""
    # What sudo's password helper left on the host is gone with the boot, and there is nobody to ask for its removal.
    clear_askpass_cache(host)
    if isinstance(host.connector, SSHConnector) and host.connector.client is not None:
        host.connector.client.close()
        host.disconnect()
        host.connect(show_errors=False, raise_exceptions=True)


# Running
#


def _confirm(original: Callable[[str], bool]) -> Callable[[str], bool]:
    def confirm(message: str) -> bool:
        if not sys.stdin.isatty():
            raise Refusal(["nobody can confirm, stdin is not a terminal; add -y"])
        try:
            if original(message):
                return True
        except EOFError:
            click.echo(err=True)
        raise Refusal(["not confirmed; nothing was changed"])

    return confirm


def _interrupted(*_: object) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends it at once
    refusal = Refusal(["interrupted; run the same command again"])
    click.echo(err=True)
    refusal.show()
    sys.exit(130)


def _getpass(original: Callable[[str], str]) -> Callable[[str], str]:
    def getpass(prompt: str = "Password: ") -> str:
        if not sys.stdin.isatty():
            raise Refusal(
                [f"{prompt.strip(': ')}: nobody can type a password for sudo; allow this user sudo without one"]
            )
        return original(prompt)

    return getpass


def _exec_file(original: Callable[..., Any]) -> Callable[..., Any]:
    """A deploy file asks hosts as it is read; one whose connection is gone by then is a line, and not a traceback."""

    def exec_file(filename: str, *arguments: Any, **more: Any) -> Any:
        try:
            return original(filename, *arguments, **more)
        except UnexpectedExternalError as error:
            lost = error.exception
            if not isinstance(lost, SSHException | EOFError | ConnectionError | TimeoutError):
                raise
            why = str(lost) or type(lost).__name__
            # Not by name: what is decided for all hosts asks others than the one for which the file is read.
            raise Refusal(
                [f"the connection to a host was lost while it was asked ({why}); run the same command again"]
            ) from error

    return exec_file


# Why a host failed, in the lines of a refusal; what else fails has said so as it ran.
_why_failed: dict[str, list[str]] = {}


def _run_host_op(original: Callable[[State, Host, str], bool]) -> Callable[[State, Host, str], bool]:
    """An operation on a host that ends in an error has failed there, and the other hosts' errors are told as well.

    pyinfra would show the first host's alone, and gevent a traceback for each.
    """

    def run_host_op(state: State, host: Host, op_hash: str) -> bool:
        try:
            return original(state, host, op_hash)
        except PyinfraError as error:
            _why_failed[host.name] = str(error).splitlines()
        except (SSHException, OSError, EOFError) as error:
            why = str(error) or type(error).__name__
            _why_failed[host.name] = [f"{host.name}: was cut short ({why}); mend that and run the same command again"]
        return False

    return run_host_op


def _run_ops(original: Callable[..., None]) -> Callable[..., None]:
    def run_ops(state: State, serial: bool = False, no_wait: bool = False) -> None:
        try:
            original(state, serial=serial, no_wait=no_wait)
        except PyinfraError as error:
            failed = [host.name for host in state.inventory if host in state.failed_hosts]
            if not failed:
                raise
            lines = [line for name in failed for line in _why_failed.get(name, ())]
            if above := [name for name in failed if name not in _why_failed]:
                lines.append(f"{', '.join(above)} failed, as told above; mend that and run the same command again")
            raise Refusal(dict.fromkeys(lines)) from error

    return run_ops


# What is told of operations
#

# The name that an operation has on a host, by the host's name and the operation's hash. Hosts that call an operation
# at the same place of a deploy share one, whatever they call it: pyinfra keeps a set of names, and tells any one of it.
_named: dict[tuple[str, str], str] = {}


def _solved(original: Callable[..., tuple[tuple[int, ...], str]]) -> Callable[..., tuple[tuple[int, ...], str]]:
    def solve_operation_consistency(names: set[str], state: State, host: Host) -> tuple[tuple[int, ...], str]:
        order, op_hash = original(names, state, host)
        (_named[host.name, op_hash],) = names
        return order, op_hash

    return solve_operation_consistency


def _named_by_host(original: Callable[[State], Any]) -> Callable[[State], Any]:
    """pyinfra's plan or results with one entry for each name of an operation, with the hosts that have it so."""

    def build(state: State) -> Any:
        built = original(state)
        if isinstance(built, list):
            return [own for each in built for own in _own(each)]
        return {**built, "operations": [own for each in built["operations"] for own in _own(each)]}

    return build


def _own(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if len(entry["names"]) == 1:
        yield entry
        return
    for name in entry["names"]:
        hosts: dict[str, Any] = {
            key: [host for host in entry[key] if _named[host, entry["op_hash"]] == name]
            for key in ("hosts_with_change", "hosts_with_conditional_change", "success", "error", "no_change")
            if key in entry
        }
        count = {"hosts": sum(map(len, hosts.values()))} if "hosts" in entry else {}
        yield {**entry, "name": name, "names": [name], **hosts, **count}


def conditional() -> None:
    """Have the plan tell what the running operation changes as something that comes only after another change.

    For a dry run's body that cannot know yet: what it looks at is still to be made by an operation before it.
    """
    arguments = current_host.current_op_global_arguments
    assert arguments is not None, "only an operation's body asks for it"
    arguments["_if"] = lambda: True


def _all_names(meta: StateOperationMeta) -> str:
    arguments = f" ({', '.join(map(str, meta.args))})" if meta.args else ""
    return ", ".join(sorted(meta.names)) + arguments


# What a run says beside what it changes
#

_warned: dict[str, None] = {}
_unknown: dict[str, None] = {}


class _Warned(logging.Handler):
    """Keeps what is warned of, each once: a deploy file is read, and an operation asked, several times."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.WARNING:
            _warned[click.unstyle(record.getMessage()).strip()] = None


def unknown(line: str) -> None:
    """Have the plan tell what it could not find out: it goes on with what it can, and ends with exit 1."""
    _unknown[line] = None


def _print_json(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """pyinfra's JSON with what was warned of, and what the plan could not find out."""

    def print_json(payload: Any) -> None:
        if isinstance(payload, dict) and "plan" in payload:
            payload |= {"warnings": [_of_hosts(each) for each in _warned], "unknown": list(_unknown)}
        original(payload)

    return print_json


def _of_hosts(text: str) -> dict[str, Any]:
    """A warning by the hosts before its first colon, as pyinfra calls them; by none where it is of something else."""
    known = {host.name: host.inventory_name for host in _home.hosts} if _home is not None else {}
    place, _, rest = text.partition(": ")
    names = place.split(", ")
    if rest and all(name in known for name in names):
        return {"hosts": [known[name] for name in names], "text": rest}
    return {"hosts": [known[name] for name in [place.partition(".")[0]] if rest and name in known], "text": text}


def _exit(original: Callable[[], None]) -> Callable[[], None]:
    def end() -> None:
        if _unknown:
            refusal = Refusal(_unknown)
            refusal.word = "not known"
            refusal.show()
            sys.exit(1)
        original()

    return end
