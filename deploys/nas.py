"""Disks to pools to shares to backups, on the machines of the group nas: `pyinfra inventory deploys/nas.py`."""

from datetime import UTC, datetime
from pathlib import Path

from pyinfra import host, local, logger

from homelab import nas as nas_room
from homelab.host import packages
from homelab.nas import alerts, backup, discovery, nfs, rights, smb, snapshots, tuning, ups, users, watch
from homelab.operations import files, kernel, power, shell, systemd, timers
from homelab.operations import nfs as nfs_server
from homelab.operations import smb as smb_server
from homelab.operations import users as accounts
from homelab.operations.nas import prepared
from homelab.operations.packages import installed
from homelab.operations.storage import carried_out
from homelab.operations.survey import survey
from homelab.probe import FileState
from homelab.storage import mappings, to_build
from homelab.storage import packages as of_pools

site = survey()
home, me, probe = site.home, site.me, site.probe


def tune() -> None:
    """Before the pools are made, so that their rules greet them. In a container all this is its machine's."""
    if probe.container != "none":
        return
    settings, of_kernel = mine.tuning, tuning.sysctls(nas, probe)
    wanted, at_boot = tuning.rules(settings, nas), tuning.sysctl_file(of_kernel)
    if wanted is not None:
        kernel.rules(name="Tune the pools' disks at boot", wanted=wanted, current=_current(tuning.RULES))
    else:
        files.absent(name="Leave the disks to the kernel", path=tuning.RULES, current=_current(tuning.RULES))
    if at_boot is not None:
        files.file(name="Give rebuilds their share at boot", wanted=at_boot, current=_current(tuning.SYSCTLS))
    else:
        files.absent(name="Leave rebuilds to the kernel", path=tuning.SYSCTLS, current=_current(tuning.SYSCTLS))
    cache = tuning.arc(me, probe)
    if cache is not None:
        files.file(name="Leave pods half of the memory at boot", wanted=cache, current=_current(tuning.ARC))
        grown = tuning.arc_command(cache, probe)
        shell.unless(name="Leave pods half of the memory now", done=not grown, command=grown)
    elif _current(tuning.ARC) is not None:
        files.absent(name="Leave ZFS's cache to itself", path=tuning.ARC, current=_current(tuning.ARC))
    now = tuning.command(settings, of_kernel, probe)
    shell.unless(name="Tune the running kernel for the pools", done=not now, command=now)


def make_pools() -> None:
    """Each step with its class, so that a dry run reads as the plan it is."""
    for step in host.loop(mine.storage.steps):
        carried_out(name=f"{step.says} ({step.kind})", step=step, keys=mine.keys)


def recovery_kit() -> None:
    """What has to be outside the house before it is needed."""
    for name, record in mine.storage.pools.items():
        if record.luks:
            headers = " and ".join(mappings.header_path(uuid) for uuid in record.luks.values())
            key = nas.pools[name].encryption.key
            logger.info(f"{host.print_prefix}keep outside the house: the key of {name} ({key}), and {headers}")


def let_people_in() -> None:
    """Accounts before volumes, which belong to them."""
    accounts.accounts(
        name="Make the users' accounts",
        commands=users.commands(me, probe),
        record=rights.record(me, probe),
        current=_current(rights.RECORD),
    )
    for step in host.loop(mine.storage.volumes):
        carried_out(name=f"{step.says} ({step.kind})", step=step)


def serve_nfs() -> None:
    if not nfs.shares(nas) and not nfs.stale(me, probe):
        return
    wanted, dropin = nfs.conf(me, probe), nfs.dropin(me)
    files.file(name="Serve NFSv4 only", wanted=wanted, current=_current(wanted.path))
    systemd.unit_file(name="Let the NFS server wait for its pools", wanted=dropin, current=_current(dropin.path))
    nfs_server.masked(name="Turn off what only older NFS needs", units=nfs.to_mask(me, probe))
    restart = nfs.restart(me, probe) or not wanted.stands(_current(wanted.path))
    systemd.running(name="Start the NFS server", unit=nfs.UNIT, current=probe.unit(nfs.UNIT), restart=restart)
    exports = nfs.exports(home, me, probe)
    nfs_server.exports(
        name="Export the shares",
        changed=tuple(each for each in exports if not each.stands(probe.files.get(each.path))),
        stale=nfs.stale(me, probe),
        applied=nfs.applied(home, me, probe),
    )


def serve_smb() -> None:
    if not smb.wanted(me, probe):
        return
    conf, dropin = smb.conf(me), smb.dropin(me)
    files.file(name="Lay the program that notes what smbd read", wanted=smb.NOTE_FILE, current=_current(smb.NOTE))
    files.file(name="Write smb.conf", wanted=conf, current=_current(conf.path))
    systemd.unit_file(name="Let smbd wait for its pools", wanted=dropin, current=_current(dropin.path))
    accounts.samba(name="Give Samba its users' passwords", mine=me, given=mine.passwords, probe=probe)
    smb_server.disabled(name="Turn NetBIOS off", units=smb.to_disable(probe))
    smb_server.served(name="Serve SMB", action=smb.action(me, probe), current=probe.unit(smb.UNIT))


def take_back() -> None:
    """What was given and is described no more; after the shares, or who is shut out would come back in at once."""
    gone = rights.withdrawn(me, probe)
    for says in host.loop(gone):
        shell.unless(name=says, done=False, command=gone[says])


def be_found() -> None:
    """By Windows and by Macs, where there is an SMB share to find."""
    if not discovery.wanted(me):
        return
    dropin, service = discovery.windows(me, probe), discovery.macs(me)
    systemd.unit_file(name="Tell Windows on the home's own wire only", wanted=dropin, current=_current(dropin.path))
    systemd.running(
        name="Let Windows find the NAS",
        unit=discovery.WINDOWS,
        current=probe.unit(discovery.WINDOWS),
        restart=discovery.restart(me, probe),
    )
    files.file(name="Say what Macs should know", wanted=service, current=_current(service.path))
    systemd.running(name="Let Macs find the NAS", unit=discovery.MACS, current=probe.unit(discovery.MACS))


def hold_power() -> None:
    """The UPS: its driver, who may ask, and who orders the shutdown when the battery is low."""
    if nas.ups is None:
        return
    passwords = power.passwords(site, me)
    assert passwords is not None
    wanted = ups.primary(home, me, probe, passwords)
    timers.laid(name="Write NUT's settings", wanted=wanted, current=probe, reload=ups.reread(probe))
    shell.unless(name="Let a boot start NUT", done=ups.at_boot(me, probe), command=ups.enable(me))
    done = ups.driver_runs(wanted, probe)
    shell.unless(name=f"Start the UPS's driver {nas.ups.driver}", done=done, command=ups.start_driver(me))
    for unit, what in host.loop(((ups.SERVER_UNIT, "Tell others of the UPS"), (ups.MONITOR_UNIT, "Watch the UPS"))):
        restart = ups.restart(wanted, unit, probe)
        systemd.running(name=what, unit=unit, current=probe.unit(unit), restart=restart)


def keep_watch() -> None:
    """Snapshots, backups, alerts, scrubs and SMART: scripts and timers that need this toolkit no more."""
    for volume, said in snapshots.told(nas, probe, datetime.now(UTC)).items():
        logger.warning(f"    {me.name}: volume {volume}: {said}")
    wanted = watch.files(nas, me.name, mine.revealed)
    timers.laid(name="Lay the NAS's scripts and timers", wanted=wanted, current=probe, reload=watch.reread(probe))
    gone = watch.stale(nas, probe)
    shell.unless(name="Remove timers that nobody asks for", done=not gone, command=watch.remove(gone))
    one = watch.one_check(nas, probe)
    shell.unless(name="Let one timer alone check the arrays", done=one, command=watch.ONE_CHECK)
    if watch.monitors(nas):
        systemd.running(
            name="Let mdadm tell of trouble at once",
            unit=watch.MD_MONITOR,
            current=probe.unit(watch.MD_MONITOR),
            restart=not watch.monitor_as_it_is(probe),
        )
    if watch.zed(nas):
        scrubs = watch.to_scrub_alone(nas, probe)
        shell.unless(name="Let one timer alone scrub the pools of ZFS", done=not scrubs, command=scrubs)
        systemd.running(
            name="Let ZED tell of a change at once",
            unit=watch.ZED,
            current=probe.unit(watch.ZED),
            restart=not watch.zed_as_it_is(probe),
        )
    systemd.running(
        name="Watch the disks by SMART",
        unit=watch.SMARTD,
        current=probe.unit(watch.SMARTD),
        restart=not watch.smartd_as_it_is(nas, probe),
    )
    if nas.ups is not None:
        systemd.running(name="Hear of the UPS at once", unit=ups.EVENTS, current=probe.unit(ups.EVENTS))
    timers.running(name="Start the NAS's timers", timers=watch.timers(nas, probe.container), current=probe)
    shell.unless(name="Send a test alert", done=alerts.tested(nas, probe, mine.revealed), command=alerts.TEST)
    # Last: a repository that cannot be reached today leaves nothing else undone.
    for name in host.loop(nas.backups):
        shell.unless(
            name=f"Open or make the repository of the backup {name}",
            done=name not in backup.uninitialised(nas, probe),
            command=backup.initialise(name),
        )


def _current(path: str) -> FileState | None:
    return probe.files.get(path)


# The host is listed as a NAS, and says what it keeps.
if me.storage is not None and site.first("nas"):
    nas, mine = me.storage, prepared(site)[me.name]
    local.include(str(Path(__file__).resolve().parent / "base.py"))
    wanted = (*of_pools(nas, probe), *nas_room.packages(me, probe), *ups.packages(home, me))
    if building := to_build(nas, probe):
        installed(name="Build the kernel's module of ZFS", missing=building, patience=7200)
    installed(name="Install the NAS's packages", missing=packages.missing(wanted, probe))
    tune()
    make_pools()
    let_people_in()
    serve_nfs()
    serve_smb()
    take_back()
    be_found()
    recovery_kit()
    hold_power()
    if nas_room.watched(nas):
        keep_watch()
