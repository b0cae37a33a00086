"""Every machine as it should be, whatever it is for: `pyinfra inventory deploys/base.py`."""

from pyinfra import host, logger

from homelab.host import boot, clock, firewall, kernel, names, packages, sshd, upgrades, warnings
from homelab.nas import ups
from homelab.operations import files, power, shell, systemd, timers
from homelab.operations.boot import arguments
from homelab.operations.hostname import hostname
from homelab.operations.kernel import modules, sysctls
from homelab.operations.packages import installed
from homelab.operations.survey import survey
from homelab.operations.timezone import timezone
from homelab.operations.trial import tried
from homelab.pyinfra_compat import logged_in_by_key

site = survey()
home, me, probe = site.home, site.me, site.probe


def advise() -> None:
    """Say once a run what does not stop it."""
    for problem in warnings(home, site.probes):
        logger.warning(f"    {problem}")


def name_the_hosts() -> None:
    hostname(name="Set the hostname", wanted=me.name, current=probe)
    wanted = names.hosts_file(home, probe.text.get(names.HOSTS, ""))
    files.file(name="Name the inventory's hosts in /etc/hosts", wanted=wanted, current=probe.files.get(names.HOSTS))


def install_packages() -> None:
    installed(name="Install packages", missing=packages.missing(packages.wanted(home, me, probe), probe))


def keep_time() -> None:
    if home.base.timezone:
        timezone(name=f"Set the time zone {home.base.timezone}", wanted=home.base.timezone, current=probe)
    # A container's clock is its machine's, and another time daemon belongs to whoever installed it.
    if clock.needs_timesyncd(probe):
        wanted, current = clock.timesyncd(home), probe.files.get(clock.DROPIN)
        if wanted is not None:
            files.file(name="Name the time servers", wanted=wanted, current=current)
            changed = not wanted.stands(current)
        else:
            files.absent(name="Leave the time servers to the system", path=clock.DROPIN, current=current)
            changed = current is not None
        systemd.running(name="Keep the time", unit=clock.UNIT, current=probe.unit(clock.UNIT), restart=changed)


def prepare_kernel() -> None:
    """What K3s needs of the kernel; in a container only what is its own."""
    if me.role is None:
        return
    if probe.container == "none":
        modules(
            name="Load the kernel's modules for pods",
            wanted=kernel.modules_file(me, probe),
            names=kernel.modules(me),
            current=probe,
        )
    sysctls(name="Set the kernel for pods", wanted=kernel.sysctls(home, me, probe), current=probe)
    if boot.is_raspberry(probe):
        arguments(name="Turn the memory cgroup on and reboot", wanted=boot.arguments(me, probe))


def install_upgrades() -> None:
    current = probe.files.get(upgrades.PATH)
    if home.base.unattended_upgrades:
        files.file(name="Install security upgrades unattended, without a reboot", wanted=upgrades.CONF, current=current)
        for timer in host.loop(upgrades.TIMERS):
            systemd.running(name=f"Start {timer}", unit=timer, current=probe.unit(timer))
    else:
        files.absent(name="Leave upgrades to the system", path=upgrades.PATH, current=current)


def harden_sshd() -> None:
    wanted, current = sshd.wanted(home, probe, by_key=logged_in_by_key(host)), probe.files.get(sshd.DROPIN)
    if wanted is not None:
        tried(name="Harden the SSH daemon", trial=sshd.trial(wanted), stands=wanted.stands(current))
    elif not home.base.ssh_hardening:
        shell.unless(name="Leave the SSH daemon to the system", done=current is None, command=sshd.REMOVE)


def close_firewall() -> None:
    unit, rules = probe.files.get(firewall.UNIT_FILE.path), probe.files.get(firewall.RULES)
    if not home.base.firewall:
        shell.unless(name="Remove the firewall", done=unit is None and rules is None, command=firewall.REMOVE)
        return
    wanted = firewall.rules(home, me, probe)
    systemd.unit_file(name="Write the firewall's unit", wanted=firewall.UNIT_FILE, current=unit)
    tried(name="Close the firewall", trial=firewall.trial(wanted), stands=firewall.stands(wanted, probe))
    systemd.running(name="Close the firewall at boot", unit=firewall.UNIT, current=probe.unit(firewall.UNIT))


def follow_the_ups() -> None:
    """Down in order when its battery is low: this host before the NAS, which has its files."""
    if ups.stale(home, me, probe):
        shell.unless(name="Let go of the UPS", done=False, command=ups.LET_GO)
    nas = home.followed(me)
    if nas is None:
        return
    passwords = power.passwords(site, nas)
    if passwords is None:
        logger.warning(f"    {me.name}: follows no UPS yet, as {nas.name} is not in this run; run it with both")
        return
    installed(name="Install what hears of the UPS", missing=packages.missing(ups.packages(home, me), probe))
    wanted = ups.secondary(nas, passwords.node)
    timers.laid(name=f"Follow the UPS of {nas.name}", wanted=wanted, current=probe, reload=ups.reread(probe))
    shell.unless(name="Let a boot start NUT", done=ups.at_boot(me, probe), command=ups.enable(me))
    systemd.running(
        name="Go down in time when the battery is low",
        unit=ups.MONITOR_UNIT,
        current=probe.unit(ups.MONITOR_UNIT),
        restart=ups.restart(wanted, ups.MONITOR_UNIT, probe),
    )


if site.first("base"):
    site.once("what base advises", advise)
    name_the_hosts()
    install_packages()
    keep_time()
    prepare_kernel()
    install_upgrades()
    harden_sshd()
    close_firewall()
    follow_the_ups()
