"""Power of a machine: cut and given again whatever state it is in."""

from subprocess import CompletedProcess

import pytest

from tests.sandbox import libvirt, machines
from tests.sandbox.hosts import table
from tests.sandbox.system import CommandFailed

HOST = table()[0]["nas"]
VERBS = {"lxc-start", "lxc-stop", "start", "destroy"}


@pytest.fixture
def asked(monkeypatch):
    """The machine answers with `state[0]`, None where nobody can be asked; what is done to it is kept in the rest."""
    state = ["running"]

    def run(command, check=True, **_):
        done = [word for word in command if word in VERBS]
        state.extend(done)
        code, said = (0, state[0]) if state[0] is not None else (1, "")
        if check and code:
            raise CommandFailed(done[0])
        return CompletedProcess(command, code, f"{said}\n", "")

    for module in (machines, libvirt):
        monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(machines, "end_shared_connections", lambda _: None)
    return state


@pytest.mark.parametrize(
    ("provider", "on", "off", "cut", "begun"),
    [
        ("lxc", ("RUNNING", "STOPPING"), ("STOPPED",), "lxc-stop", "lxc-start"),
        ("libvirt", ("running", "paused", "in shutdown"), ("shut off", "crashed"), "destroy", "start"),
    ],
)
def test_what_is_so_already_stays_so(asked, provider, on, off, cut, begun):
    for state in (*on, *off):
        asked[:] = [state]
        assert machines.running(HOST, provider) == (state in on)
        machines.power_cut(HOST, provider)
        machines.power_on(HOST, provider)
        assert asked[1:] == [cut if state in on else begun]


@pytest.mark.parametrize("provider", ["lxc", "libvirt"])
def test_power_is_not_said_to_be_cut_where_nobody_can_be_asked(asked, provider):
    asked[:] = [None]
    assert not machines.running(HOST, provider)
    for act in (machines.power_cut, machines.power_on):
        with pytest.raises(CommandFailed):
            act(HOST, provider)
