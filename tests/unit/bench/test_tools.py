"""What fio and iperf3 say, and the state of a host as tasks of Ansible."""

from __future__ import annotations

import base64
import json

import pytest

from homelab.model import Home
from tests.bench import playbook
from tests.bench.nas import speed, stream
from tests.bench.remote import Broken
from tests.unit.nas.shares import home, host

# fio 3.33, shortened.
FIO = {"fio version": "fio-3.33", "jobs": [{"error": 0, "read": {"bw_bytes": 0}, "write": {"bw_bytes": 48318382}}]}
# iperf 3.12, shortened.
IPERF = {"start": {}, "end": {"sum_received": {"seconds": 3.0, "bits_per_second": 5.6e9}}}


def test_fio_is_read_past_its_notes() -> None:
    assert speed(f"fio: this platform does not support X\n{json.dumps(FIO)}", "write") == pytest.approx(48.3, abs=0.1)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "cannot be read"),
        ("{}", "cannot be read"),
        (json.dumps({"jobs": [{"error": 28}]}), "error 28"),
        (json.dumps(FIO), "did not read anything"),
    ],
)
def test_a_run_of_fio_that_failed_is_no_figure(out: str, said: str) -> None:
    with pytest.raises(Broken, match=said):
        speed(out, "read")


def test_iperf_is_read_as_it_was_received() -> None:
    assert stream(json.dumps(IPERF)) == pytest.approx(700.0)


@pytest.mark.parametrize("out", ["", "{}", json.dumps({"end": {}, "error": "unable to connect"})])
def test_a_run_of_iperf_that_failed_is_no_figure(out: str) -> None:
    with pytest.raises(Broken):
        stream(out)


NAS = host(users={"anna": {"uid": 2001}}, volumes={"photos": {"pool": "tank", "owner": "anna"}})


def test_each_thing_that_stands_is_a_task_of_the_peer() -> None:
    text = base64.b64encode(b"a {{ b }}\n").decode()
    seen = f"dir 755 root root /srv -\nfile 644 root root /etc/a {text}\nunit ssh.service enabled active\n"
    seen += "unit off.service disabled inactive\nunit old.socket masked inactive\npackage fio installed\n"
    made = playbook.tasks(NAS, seen)
    assert [each["name"] for each in made] == [
        "hostname nas",
        "apt ['fio']",
        "file /srv",
        "copy /etc/a",
        "systemd ssh.service",
        "systemd old.socket",
        "user anna",
        "file /srv/tank/photos",
    ]
    assert made[3]["ansible.builtin.copy"] == {
        "dest": "/etc/a",
        "content": "a {{ b }}\n",
        "mode": "0644",
        "owner": "root",
        "group": "root",
    }
    (play,) = json.loads(playbook.play({"nas": made}))
    assert play["tasks"][3]["ansible.builtin.copy"]["content"] == "{% raw %}a {{ b }}\n{% endraw %}"
    assert (play["become"], play["gather_facts"]) == (True, False)


def test_the_look_asks_for_what_the_deploy_asks_for() -> None:
    known: Home = home(NAS)
    script = playbook.look(known, NAS)
    assert "/etc/hosts" in script and "homelab-watch.timer" in script and "smartmontools" in script
