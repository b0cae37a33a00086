"""A disk more than the table has."""

from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

from tests.sandbox import libvirt
from tests.sandbox.system import CommandFailed


def test_an_added_disk_is_as_vagrant_makes_them():
    device = ElementTree.fromstring(libvirt.disk("/pool/homelab-nas-vd-more-7.qcow2", 7))
    assert device.findtext("serial") == "homelab-d7"
    assert device.find("source").get("file") == "/pool/homelab-nas-vd-more-7.qcow2"
    # The system's disk is vda, and d1 to d6 are vdb to vdg.
    assert device.find("target").attrib == {"dev": "vdh", "bus": "virtio"}


def test_one_that_cannot_be_plugged_in_leaves_nothing_behind(monkeypatch, tmp_path):
    asked = []

    def run(command, **_):
        asked.append(command[3])
        if command[3] == "attach-device":
            raise CommandFailed("no slot")
        return CompletedProcess(command, 0, "/pool/x.qcow2\n", "")

    monkeypatch.setattr(libvirt, "run", run)
    with pytest.raises(CommandFailed):
        libvirt.add("homelab-nas", 7, 512, tmp_path)
    assert asked[-1] == "vol-delete" and list(tmp_path.iterdir()) == []
