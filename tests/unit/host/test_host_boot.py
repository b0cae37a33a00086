"""A Raspberry Pi's kernel arguments: one line, once, and no reboot that would not help."""

import pytest

from homelab.host import boot
from tests.probes import machine, node

# Raspberry Pi OS 12, /boot/firmware/cmdline.txt as it comes.
FOUND = "console=serial0,115200 console=tty1 root=PARTUUID=6f1b0a4c-02 rootfstype=ext4 fsck.repair=yes rootwait"
PI = "Raspberry Pi 4 Model B Rev 1.4"


def pi(line: str = FOUND, running: str = FOUND, **changes):
    text = {boot.CMDLINE: line + "\n", boot.RUNNING: running}
    return machine(**{"board": PI, "memory_cgroup": False, "text": text, **changes})


def test_the_arguments_join_the_one_line():
    wanted = boot.arguments(node(), pi())
    assert wanted == boot.Arguments(f"{FOUND} cgroup_memory=1 cgroup_enable=memory", written=False)


def test_a_line_that_has_them_only_needs_the_reboot():
    line = f"{FOUND} cgroup_memory=1 cgroup_enable=memory"
    assert boot.arguments(node(), pi(line)) == boot.Arguments(line, written=True)


def test_a_reboot_that_would_not_help_is_refused():
    line = f"{FOUND} cgroup_memory=1 cgroup_enable=memory"
    with pytest.raises(boot.BootError, match="still has no memory cgroup"):
        boot.arguments(node(), pi(line, running=f"cgroup_disable=memory {line}"))


@pytest.mark.parametrize("line", ["", f"{FOUND}\nquiet"])
def test_a_file_that_is_not_one_line_is_refused(line: str):
    with pytest.raises(boot.BootError, match="instead of one"):
        boot.arguments(node(), pi(line))


def test_a_sound_kernel_and_a_host_without_k3s_are_left_alone():
    assert boot.arguments(node(), pi(memory_cgroup=True)) is None
    assert boot.arguments(node(role=None), pi()) is None
    assert boot.arguments(node(), pi(board="Some Other Board")) is None
    assert boot.arguments(node(), pi(container="lxc")) is None
