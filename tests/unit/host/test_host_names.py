"""/etc/hosts: the inventory's hosts in one marked block, the rest of the file as its owner left it."""

from hypothesis import given
from hypothesis import strategies as st

from homelab.host import names
from tests import builders

HOME = builders.home(servers=("s1", "s2", "s3"), agents=("a1",))
FOUND = "127.0.0.1 localhost\n127.0.1.1 s1\n\n::1 localhost ip6-localhost\n"


def test_every_host_of_the_inventory_is_named():
    lines = names.hosts_file(HOME, FOUND).content.splitlines()
    assert "192.168.1.11 s1" in lines
    assert "192.168.1.21 a1" in lines


def test_what_stands_there_stays():
    assert names.hosts_file(HOME, FOUND).content.startswith(FOUND)


def test_lines_after_the_block_stay_after_it():
    content = names.hosts_file(HOME, FOUND).content + "192.168.1.99 printer\n"
    assert names.hosts_file(HOME, content).content == content


def test_a_host_that_left_the_inventory_leaves_the_block():
    before = names.hosts_file(HOME, FOUND).content
    after = names.hosts_file(builders.home(servers=("s1",)), before).content
    assert "s2" not in after
    assert after.startswith(FOUND)


def test_a_block_without_its_end_takes_nothing_with_it():
    broken = FOUND + "# BEGIN homelab\n192.168.1.99 printer\n"
    assert "192.168.1.99 printer\n" in names.hosts_file(HOME, broken).content


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=("Cc",))).map(str.strip))
def test_a_second_time_changes_nothing(line: str):
    once = names.hosts_file(HOME, FOUND + line + "\n").content
    assert names.hosts_file(HOME, once).content == once
