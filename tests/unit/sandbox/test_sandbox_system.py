"""Processes that the sandbox started are ended; others never."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox import system
from tests.sandbox.hosts import ROOT


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_remembered_process_is_ended(sleeper, tmp_path):
    record = tmp_path / "sleeper"
    system.remember(record, sleeper.pid)
    assert system.remembered(record) == sleeper.pid
    system.end(record)
    assert sleeper.wait(5) < 0
    assert not record.exists()


def test_another_process_with_the_same_id_is_left_alone(sleeper, tmp_path):
    record = tmp_path / "sleeper"
    record.write_text(f"{sleeper.pid} 1\n")
    system.end(record)
    assert sleeper.poll() is None
    assert not record.exists()


def test_an_unreadable_record_ends_nothing(tmp_path):
    record = tmp_path / "sleeper"
    record.write_text("")
    system.end(record)
    assert not record.exists()


def test_what_a_killed_run_left_is_ended_with_all_it_started(tmp_path):
    record, started = tmp_path / "record", tmp_path / "started"
    script = f"sleep 60 & echo $! >{started}; wait"
    code = (
        "from pathlib import Path; from tests.sandbox import system; "
        f"system.run_remembered(['sh', '-c', {script!r}], Path({str(record)!r}), "
        f"check=True, timeout=60, log=Path({str(tmp_path / 'log')!r}), env={{}})"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    system.wait_for("the run to start", lambda: started.exists() and started.read_text(), 20, every=0.05)
    grandchild = int(started.read_text())
    run.kill()
    run.wait()
    system.end(record, group=True)
    system.wait_for("it to end", lambda: not Path(f"/proc/{grandchild}").exists() or "Z" in state(grandchild), 5)


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_a_deadline_names_what_did_not_happen():
    with pytest.raises(TimeoutError, match="s1 to answer: not within 0 s"):
        system.wait_for("s1 to answer", lambda: False, 0, every=0)


def test_a_failed_command_shows_its_last_lines(tmp_path):
    with pytest.raises(system.CommandFailed, match="exit 3\nbecause"):
        system.run([sys.executable, "-c", "import sys; print('because'); sys.exit(3)"])
