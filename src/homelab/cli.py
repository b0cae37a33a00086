"""The `homelab` command: parse, call, print, exit."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from homelab.progress import tell
from homelab.typer_compat import PlainGroup

if TYPE_CHECKING:
    from pydantic import SecretStr
    from rich.table import Table

    from homelab.model import Home

# Imports of pydantic, rich and what needs them sit in the commands: `homelab --help` starts without them.

app = typer.Typer(
    name="homelab",
    cls=PlainGroup,
    help="Know what your home is and how it is, and keep its packages up to date. "
    "What makes it so are the deploys: pyinfra inventory deploys/site.py",
    epilog="Example: homelab inventory",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    text = "text"
    json = "json"


@app.callback()
def homelab() -> None:
    """A callback keeps the commands' names also while there is one command only."""
    if not os.environ.get("COLUMNS", "1").strip("0"):
        # So it is where nobody knows the terminal, and in no columns rich prints nothing.
        del os.environ["COLUMNS"]


@contextmanager
def _wrong_usage_exits(code: int) -> Iterator[None]:
    """Wrong usage exits with `code`, where click's 2 means something else."""
    try:
        yield
    except TyperException as error:
        error.exit_code = code
        raise


class _ExitsWith1(TyperCommand):
    """Wrong usage exits with 1, since 2 means that something is pending."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _wrong_usage_exits(1):
            return super().make_context(*arguments, **options)


def _inventory() -> "tuple[Path, Home]":
    """The inventory's folder and what it describes; raise InventoryError or SettingsError with all that is wrong."""
    from homelab import description
    from homelab.model import choose, load
    from homelab.settings import Settings

    Settings.read(os.environ)
    folder = description.find(Path.cwd())
    path = choose(folder, os.environ)
    tell(f"homelab: inventory {path.parent.name}/{path.name}")
    return folder, load(path, cwd=folder.parent)


@contextmanager
def _printing(code: int) -> Iterator[None]:
    """Within, what is printed reaches stdout, or that is a line and exit `code`. A reader may have had enough."""
    from homelab.health.output import NoOutput, ReaderGone, printing

    if sys.stdout is None:  # nobody wants to read it
        yield
        return
    try:
        with printing():
            yield
    except ReaderGone:
        pass
    except NoOutput as error:
        tell(error)
        raise typer.Exit(code) from None


@app.command(
    epilog="Example: HOMELAB_ENV=rehearsal homelab inventory --format json",
    short_help="Validate the inventory and describe it.",
)
def inventory(
    format: Annotated[Format, typer.Option("--format", help="How to print the description.")] = Format.text,
) -> None:
    """Validate the inventory, secrets included, and print what it describes.

    The inventory is inventory/$HOMELAB_ENV.py; unset: home.py if it exists, else sandbox.py. It is looked for
    from the current directory upwards. Exits with 2 and prints every problem when something is wrong.
    """
    from homelab import description
    from homelab.health.text import console
    from homelab.model import InventoryError
    from homelab.settings import SettingsError

    try:
        folder, home = _inventory()
        description.prove_secrets(home, folder.parent)
    except (InventoryError, SettingsError) as error:
        tell(error)
        raise typer.Exit(2) from None
    with _printing(2):
        if format is Format.json:
            print(description.as_json(home))  # noqa: T201
        else:
            description.as_text(home, console())


class Deploy(StrEnum):
    site = "site"
    base = "base"
    nas = "nas"
    k3s = "k3s"
    charts = "charts"


@app.command(
    cls=_ExitsWith1,
    epilog="Example: HOMELAB_ENV=home homelab plan nas",
    short_help="What a deploy would change, without changing it.",
)
def plan(
    deploy: Annotated[Deploy, typer.Argument(help="The deploy; site is all of them.")] = Deploy.site,
    format: Annotated[Format, typer.Option("--format", help="How to print the plan.")] = Format.text,
) -> None:
    """Ask every host of the inventory, change nothing, and print what is not as it is described.

    Exits with 0 when nothing is to be done, with 2 when something is, and with 1 when it could not be found out: where
    only a part could not, as with a cluster whose API does not answer, the rest is printed all the same. What a deploy
    would warn of is printed with its host, and leaves the exit alone.
    """
    from homelab import plan as plans
    from homelab.model import InventoryError
    from homelab.settings import SettingsError

    try:
        folder, home = _inventory()
        away = [host.inventory_name for host in home.hosts if host.away]
        hosts = [host.inventory_name for host in home.hosts if not host.away]
        made = plans.read(folder, deploy.value, hosts, home.environment, away=away)
    except (InventoryError, SettingsError, plans.PlanError) as error:
        tell(error)
        raise typer.Exit(1) from None
    with _printing(1):
        print(plans.as_json(made) if format is Format.json else "\n".join(plans.lines(made)))  # noqa: T201
    for line in made.unknown:
        tell(f"not known: {line}")
    raise typer.Exit(made.exit_code)


_DAY = 86_400


def _length(text: str) -> timedelta:
    from homelab.health import duration

    try:
        return duration.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write one as 60s, 5m or 1h") from None


def _seconds(value: float | None) -> float | None:
    # Neither a socket nor a sleep takes any number; of nan nothing is true.
    if value is None or value <= _DAY:
        return value
    raise typer.BadParameter(f"{value:g} is no number of seconds up to a day; write {_DAY} or less")


def _patience(value: timedelta | None) -> timedelta | None:
    # In less no machine boots: each would be left cordoned, as one that does not come back.
    if value is None or 60 <= value.total_seconds() <= _DAY:
        return value
    from homelab.health import duration

    raise typer.BadParameter(f"{duration.show(value)} is no time to wait for a boot; write from 1m to 24h")


_PASSWORD = typer.Option("--ask-become-pass", "-K", help="Ask for the password that sudo wants on the hosts, once.")


@app.command(
    cls=_ExitsWith1,
    epilog="Example: HOMELAB_ENV=home homelab patch --dry-run",
    short_help="Upgrade the packages of all hosts, one after another, without an outage.",
)
def patch(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the packages and the order of the hosts; change nothing.")
    ] = False,
    within: Annotated[
        timedelta | None,
        typer.Option(
            "--within",
            parser=_length,
            callback=_patience,
            metavar="TIME",
            help="How long each wait may take, for a drain, a boot, being well again; by default 10m.",
        ),
    ] = None,
    ask_become_pass: Annotated[bool, _PASSWORD] = False,
    format: Annotated[Format, typer.Option("--format", help="How to print the summary.")] = Format.text,
) -> None:
    """Bring every host up to date: servers, then agents, the NAS last.

    A host's turn: the cluster is well; the node is cordoned and drained; apt upgrades; the host reboots if it asks for
    that; once the node is up again with the same K3s, pods are let onto it. It ends at the first host that does not
    come back whole, and leaves the rest untouched; run again, it goes on there. A node that you have cordoned stays so.
    The machine that it runs on comes last, and is not rebooted.

    Ctrl-C ends it after the step at hand. Exits with 1 when it did not come to its end.
    """
    from homelab.patch import command, report

    home, folder, password = _ansible(ask_become_pass)
    seconds = 600.0 if within is None else within.total_seconds()
    with _ending(command.PatchError, "interrupted in the middle of a step; run it again to go on"):
        summary = command.run(folder, home, dry_run=dry_run, within=seconds, password=password)
    with _printing(1):
        if format is Format.json:
            print(report.as_json(summary))  # noqa: T201
        else:
            _show(report.table(summary), report.lines(summary))
    raise typer.Exit(summary.exit_code)


@app.command(
    cls=_ExitsWith1,
    epilog="Example: HOMELAB_ENV=home homelab play playbooks/printers.yml --limit nas",
    short_help="Run an Ansible playbook over the same inventory.",
)
def play(
    playbook: Annotated[Path, typer.Argument(help="The playbook, any of yours.", show_default=False)],
    limit: Annotated[
        list[str] | None, typer.Option("--limit", metavar="HOSTS", help="Only these hosts or groups.")
    ] = None,
    ask_become_pass: Annotated[bool, _PASSWORD] = False,
    format: Annotated[Format, typer.Option("--format", help="How to print the report.")] = Format.text,
) -> None:
    """Run a playbook over the hosts of the inventory, in its groups k3s_servers, k3s_agents and nas.

    Hosts are reached as in a deploy: same user, key, port and strictness. Your ansible.cfg counts, from where you are
    or else from beside the playbook; roles are looked for in roles/ beside the playbook and where its roles_path says.
    Exits with 1 when a host failed or was not reached, or when the playbook meant none.
    """
    from homelab import play as plays

    home, folder, password = _ansible(ask_become_pass)
    with _ending(plays.PlayError, "interrupted; the playbook was ended"):
        played = plays.run(folder, home, playbook, limit=limit or (), password=password)
    with _printing(1):
        if format is Format.json:
            print(plays.as_json(played))  # noqa: T201
        else:
            _show(plays.table(played), plays.lines(played), first=False)
    raise typer.Exit(played.exit_code)


@contextmanager
def _ending(problem: type[Exception], interrupted: str) -> Iterator[None]:
    """Within, what went wrong and a Ctrl-C are a line, and exit 1."""
    try:
        yield
    except problem as error:
        tell(error)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        tell(interrupted)
        raise typer.Exit(1) from None


def _ansible(ask: bool) -> "tuple[Home, Path, SecretStr | None]":
    """What a command with Ansible begins with: the inventory, and the password if it was asked for."""
    from homelab.ansible.runner import INSTALL, installed
    from homelab.model import InventoryError
    from homelab.settings import SettingsError

    try:
        folder, home = _inventory()
    except (InventoryError, SettingsError) as error:
        tell(error)
        raise typer.Exit(1) from None
    wrong = None
    if not installed():
        wrong = INSTALL
    elif ask and not sys.stdin.isatty():
        wrong = "-K: nobody can type a password, stdin is not a terminal; allow that user sudo without one"
    if wrong:
        tell(wrong)
        raise typer.Exit(1)
    if not ask:
        return home, folder, None
    from getpass import getpass

    from pydantic import SecretStr

    return home, folder, SecretStr(getpass("sudo's password on the hosts: "))


def _show(table: "Table", lines: Iterator[str], *, first: bool = True) -> None:
    """A table and lines to stdout, the table `first` or last."""
    from homelab.health.text import console, print_lines

    ours = console()
    if first:
        ours.print(table, soft_wrap=True)
    print_lines((("", line) for line in lines), ours)
    if not first and table.row_count:
        ours.print(table, soft_wrap=True)


class HealthFormat(StrEnum):
    text = "text"
    json = "json"
    yaml = "yaml"
    nagios = "nagios"
    junit = "junit"
    prometheus = "prometheus"


class FailOn(StrEnum):
    warning = "warning"
    critical = "critical"


class Least(StrEnum):
    info = "info"
    warning = "warning"
    critical = "critical"


_SETTINGS = typer.Option(
    "--settings",
    metavar="FILE",
    help="Thresholds, severities and what is known; by default ~/.config/homelab/health.toml.",
)


class _ExitsWith3(PlainGroup):
    """Wrong usage exits with 3, since 2 means that something is critical."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _wrong_usage_exits(3):
            return super().make_context(*arguments, **options)

    def invoke(self, *arguments: Any, **options: Any) -> Any:
        with _wrong_usage_exits(3):
            return super().invoke(*arguments, **options)


health_app = typer.Typer(
    cls=_ExitsWith3,
    invoke_without_command=True,
    rich_markup_mode=None,
    subcommand_metavar="[COMMAND]",
    epilog="Example: homelab health --context homelab-home -n media -v",
    short_help="Is the cluster well, and if not, why.",
)
app.add_typer(health_app, name="health")


@health_app.callback()
def health(
    asked: typer.Context,
    kubeconfig: Annotated[
        str | None, typer.Option("--kubeconfig", help="The kubeconfig; by default $KUBECONFIG or ~/.kube/config.")
    ] = None,
    context: Annotated[str | None, typer.Option("--context", help="The kubeconfig's context to use.")] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Only this namespace, and the cluster itself.")
    ] = "",
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="All namespaces, which is the default.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=1, callback=_seconds, help="Seconds for all of it; what is late is told."),
    ] = 30,
    format: Annotated[HealthFormat, typer.Option("--format", help="How to print the report.")] = HealthFormat.text,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also information, evidence, and why checks were skipped.")
    ] = False,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="From which severity on the exit tells of findings.")
    ] = FailOn.warning,
    inventory: Annotated[
        str | None,
        typer.Option(
            "--inventory",
            metavar="ENV",
            help="Expect the nodes of inventory/ENV.py; by default those of ENV if the context is homelab-ENV.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CODES", help="Only these codes or rooms, as POD; only what they need is read."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="CODES", help="All but these codes or rooms.")
    ] = None,
    severity: Annotated[
        Least | None, typer.Option("--severity", help="The least severe to show; the exit tells of what is shown.")
    ] = None,
    settings: Annotated[Path | None, _SETTINGS] = None,
    suppress: Annotated[
        list[str] | None,
        typer.Option(
            "--suppress",
            metavar="CODE[:KIND/NS/NAME]=REASON",
            help="What is known and not to be told, by code and object (* for any).",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the report there, whole or not at all, not to stdout."),
    ] = None,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            min=1,
            callback=_seconds,
            metavar="SECONDS",
            help="Look again so often and tell what changed, until Ctrl-C.",
        ),
    ] = None,
    hold: Annotated[
        timedelta | None,
        typer.Option("--for", parser=_length, metavar="TIME", help="Wait until it has been well for so long, as 60s."),
    ] = None,
    within: Annotated[
        timedelta | None,
        typer.Option("--within", parser=_length, metavar="TIME", help="How long --for waits for that; by default 10m."),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also try out DNS, Services, pod network and volumes, in a throw-away namespace; time the datastore.",
        ),
    ] = False,
    deep_image: Annotated[
        str | None,
        typer.Option(
            "--deep-image",
            metavar="IMAGE",
            help="The image for that, with BusyBox; by default docker.io/library/busybox:1.35.",
        ),
    ] = None,
    deep_timeout: Annotated[
        float | None,
        typer.Option(
            "--deep-timeout",
            min=10,
            callback=_seconds,
            metavar="SECONDS",
            help="How long that may take; by default 180.",
        ),
    ] = None,
) -> None:
    """Read the cluster once and print what is wrong, why, since when, and what confirms or mends it.

    Exits with 2 when something is critical; else with 3 when nodes or pods cannot be read or a read was cut, late or
    failed; else with 1 for a warning; else with 0. What may not be read or is not served is skipped, and said.
    --only, --skip and --suppress may be given several times; of codes, several separated by commas.

    --watch ends with the exit of the last look. --for exits with 0 once every look of that time was well, else as the
    last look; what could not be read is not well.

    Without --deep nothing is written to the cluster. With it pods run on each node that takes any, for about a minute;
    --timeout is for reading alone, and all that was made is removed, after Ctrl-C as well.
    """
    if asked.invoked_subcommand:
        _alone(asked)
        return
    # One short run that makes much and drops little: the collector would take a quarter of its time.
    gc.disable()
    from homelab.health import command

    if namespace and all_namespaces:
        raise typer.BadParameter("-n and -A exclude each other; write one of them")
    if within is not None and hold is None:
        raise typer.BadParameter("--within tells how long --for waits; write both")
    if (deep_image is not None or deep_timeout is not None) and not deep:
        raise typer.BadParameter("--deep-image and --deep-timeout tell how --deep is done; write --deep too")
    code = command.run(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        timeout=timeout,
        format=format.value,
        verbose=verbose,
        fail_on=fail_on.value,
        inventory=inventory,
        only=only or (),
        skip=skip or (),
        severity=severity.value if severity else None,
        settings=settings,
        suppress=suppress or (),
        output=output,
        watch=watch,
        hold=hold,
        within=timedelta(minutes=10) if within is None else within,
        deep=deep,
        deep_image=deep_image,
        deep_timeout=deep_timeout,
    )
    gc.freeze()
    raise typer.Exit(code)


def _alone(asked: typer.Context) -> None:
    """A command of health reads no cluster, so what tells how to read one would be for nothing."""
    sources = {each.opts[0]: asked.get_parameter_source(each.name or "") for each in asked.command.params}
    options = ", ".join(name for name, source in sources.items() if source and source.name != "DEFAULT")
    if options:
        raise typer.BadParameter(f"{options}: not for homelab health {asked.invoked_subcommand}; leave it out")


@health_app.command(
    epilog="Example: homelab health codes --format json", short_help="What health can find: every code in one line."
)
def codes(
    format: Annotated[Format, typer.Option("--format", help="How to print the table.")] = Format.text,
) -> None:
    """Print every code: how bad it is at worst, what holds when all is well, and what it cannot do without."""
    from homelab.health import explanation

    with _printing(3):
        print(explanation.table_as_json() if format is Format.json else explanation.table_as_text())  # noqa: T201


@health_app.command(
    epilog="Example: homelab health schema > report.schema.json", short_help="The JSON schema of --format json."
)
def schema() -> None:
    """Print the JSON schema (draft 2020-12) of the report, which is that of --format yaml as well."""
    from homelab.health import as_json

    with _printing(3):
        print(as_json.SCHEMA.read_text(encoding="utf-8"), end="")  # noqa: T201


@health_app.command(
    epilog="Example: homelab health role | kubectl apply -f -",
    short_help="The least rights that health needs, as YAML.",
)
def role(
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Where the service account is to be.")
    ] = "kube-system",
    deep: Annotated[
        bool, typer.Option("--deep", help="Also the role for --deep, which makes pods and removes namespaces.")
    ] = False,
) -> None:
    """Print a service account and a role that may list what the checks read, no Secrets, and change nothing.

    With `kubectl create token homelab-health -n NAMESPACE` the account logs in; what a smaller role leaves out is
    skipped by the checks, and said.
    """
    from homelab.health.role import as_manifest, wrong_namespace

    if wrong := wrong_namespace(namespace):
        tell(f"-n {namespace}: {wrong}")
        raise typer.Exit(3)
    with _printing(3):
        print(as_manifest(namespace, deep=deep))  # noqa: T201


@health_app.command(epilog="Example: homelab health explain POD001", short_help="What one code means, and what to do.")
def explain(
    code: Annotated[str, typer.Argument(help="A code, as reports have it in brackets.", show_default=False)],
    format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.text,
    settings: Annotated[Path | None, _SETTINGS] = None,
) -> None:
    """Print what one code means, how bad it is, what is read for it, its thresholds and the remedy.

    Thresholds and severity are those of the settings file, if there is one. Exits with 3 when there is no such code.
    """
    from homelab.health import explanation
    from homelab.health.settings import Settings, SettingsWrong, find, read

    try:
        path = settings or find()
        own = read(path) if path else Settings()
        found = explanation.explain(code, own.thresholds)
    except (explanation.UnknownCode, SettingsWrong) as error:
        tell(error)
        raise typer.Exit(3) from None
    here = own.level(found.row.code)
    with _printing(3):
        print(explanation.as_json(found) if format is Format.json else explanation.as_text(found, here))  # noqa: T201


def main() -> None:
    """The entry point of `homelab`."""
    app()
