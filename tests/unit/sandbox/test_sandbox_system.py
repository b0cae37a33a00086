"""Processes that the sandbox started are ended; others never."""

import subprocess
import sys

import pytest

from tests.sandbox import system


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


def test_a_deadline_names_what_did_not_happen():
    with pytest.raises(TimeoutError, match="s1 to answer: not within 0 s"):
        system.wait_for("s1 to answer", lambda: False, 0, every=0)


def test_a_failed_command_shows_its_last_lines(tmp_path):
    with pytest.raises(system.CommandFailed, match="exit 3\nbecause"):
        system.run([sys.executable, "-c", "import sys; print('because'); sys.exit(3)"])
