"""sshd's drop-in takes away only what this run does not need itself."""

from dataclasses import replace

from homelab.host import sshd
from homelab.model import Base
from tests.probes import captured, home


def test_passwords_go_when_this_run_came_by_key():
    wanted = sshd.wanted(home(), captured(), by_key=True)
    assert wanted is not None
    assert "PasswordAuthentication no\n" in wanted.content
    assert "PermitRootLogin prohibit-password\n" in wanted.content


def test_passwords_stay_when_this_run_needed_one():
    wanted = sshd.wanted(home(), captured(), by_key=False)
    assert wanted is not None
    assert "PasswordAuthentication" not in wanted.content
    assert "PermitRootLogin" not in wanted.content


def test_a_daemon_that_reads_no_dropins_gets_none():
    probe = replace(captured(), text={sshd.CONFIG: "# Include /etc/ssh/sshd_config.d/*.conf\nPort 22\n"})
    assert sshd.wanted(home(), probe, by_key=True) is None


def test_a_host_without_openssh_gets_none():
    assert sshd.wanted(home(), replace(captured(), units={}), by_key=True) is None


def test_it_can_be_turned_off():
    assert sshd.wanted(home(base=Base(ssh_hardening=False)), captured(), by_key=True) is None
