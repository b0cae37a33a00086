"""Whatever stands in an inventory: it is taken, or refused in lines; never a traceback."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from homelab.model import InventoryError, keys, load, ssh

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.binary(max_size=4),
    st.sampled_from(["192.0.2.11", "10.42.0.0/16", "env:X", "v1.35.6+k3s1", "gpu=yes:NoSchedule", "--disable"]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), inner, max_size=3),
    ),
    max_leaves=6,
)
known = st.sampled_from([*keys.NAMES, *ssh.SSH_KEYS, "_sudo", "pools", "fake_delay"])
names = st.one_of(known, st.text(max_size=6), st.integers())
data = st.dictionaries(names, values, max_size=5)
hosts = st.tuples(st.sampled_from(["s1", "s2", "@fake/s1", "@x", "S_1"]), data)
groups = st.one_of(values, st.lists(st.one_of(hosts, values), max_size=3), st.tuples(st.lists(hosts, max_size=2), data))


@given(st.dictionaries(st.sampled_from(["k3s_servers", "k3s_agents", "nas", "printers"]), groups, max_size=3))
def test_junk_is_refused_in_lines(inventory: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "home.py"
        path.write_text("".join(f"{name} = {value!r}\n" for name, value in inventory.items()))
        try:
            load(path, Path(folder))
        except InventoryError as error:
            assert error.problems
            assert len(str(error).splitlines()) == len(error.problems)
