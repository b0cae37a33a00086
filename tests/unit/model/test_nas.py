"""What an inventory says of a NAS: taken, or refused where and because; beside the gallery of wrong ones."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from homelab import description
from homelab.model import Home, InventoryError, RawHost, RawInventory, keys, levels, load, nas_written, validate
from homelab.model.nas import Alerts, Backup, Disk, Keep, Nas, Nfs, Pool, Share, Smb, Snapshots, User, Volume
from homelab.model.power import Ups
from homelab.model.raw import Given
from homelab.model.storage import Bytes, DiskId, Mail, NfsClient, Repository, Smtp
from tests.sweeps import examples

REPOSITORY = Path(__file__).parents[3]
DATA = Path(__file__).parents[2] / "data" / "inventories"
README = (REPOSITORY / "inventory" / "README.md").read_text()


def given_nas(own: dict[str, Any], shared: dict[str, Any] | None = None) -> RawInventory:
    """An inventory of one NAS and one desk, with values of its own and shared ones."""

    def at(values: dict[str, Any], place: str) -> dict[str, Given]:
        return {key: Given(value, f"{place}{key}") for key, value in values.items()}

    lan = {"networks": {"lan": "192.0.2.0/24"}}
    every = at({**lan, **(shared or {})}, "shared ")
    hosts = (
        RawHost("nas", ("nas",), ("nas",), at({"address": "192.0.2.31", **own}, "nas."), every),
        RawHost("desk", ("nas",), ("desk",), at({"address": "198.51.100.41"}, "desk."), at(lan, "shared ")),
    )
    return RawInventory(Path("home.py"), hosts)


def storage(own: dict[str, Any], shared: dict[str, Any] | None = None) -> Nas:
    kept = validate(given_nas(own, shared)).host("nas").storage
    assert kept is not None
    return kept


def refused(own: dict[str, Any]) -> list[str]:
    with pytest.raises(InventoryError) as refusal:
        validate(given_nas(own))
    return str(refusal.value).splitlines()


def right() -> dict[str, Any]:
    """A NAS in which everything fits."""
    return {
        "disks": {name: {"id": f"ata-DISK_{name}"} for name in ("left", "right", "upper", "lower", "unused")},
        "pools": {
            "tank": {"kind": "mdraid", "level": "raid1", "disks": ["left", "right"]},
            "pics": {"kind": "btrfs", "level": "raid1", "disks": ["upper", "lower"]},
        },
        "volumes": {"media": {"pool": "tank", "owner": "anna"}, "album": {"pool": "pics", "owner": "root"}},
        "users": {"anna": {"uid": 2001, "password": "env:ANNA"}, "ben": {"uid": 2002}},
        "shares": {
            "media": {"volume": "media", "nfs": {"clients": ["lan", "desk"]}},
            "album": {"volume": "album", "smb": {"users": ["anna"]}},
        },
        "snapshots": {"album": {"daily": 7}},
        "backups": {"near": {"volumes": ["media"], "to": "/srv/pics/restic", "password": "env:RESTIC"}},
        "alerts": {"ntfy": "https://ntfy.sh/x"},
    }


def test_a_raid10_takes_an_even_number_of_disks() -> None:
    own = right()
    del own["pools"]["pics"], own["shares"]["album"], own["volumes"]["album"], own["snapshots"], own["backups"]
    own["pools"]["tank"] |= {"level": "raid10", "disks": ["left", "right", "upper", "lower"]}
    assert storage(own).pools["tank"].level == "raid10"
    own["pools"]["tank"]["disks"] = ["left", "right", "upper"]
    assert refused(own) == ["nas.pools.tank.disks: 3 disks cannot be mdraid raid10; write four disks or more"]
    own["pools"]["tank"]["disks"] = ["left", "right", "upper", "lower", "unused"]
    (line,) = refused(own)
    assert line.startswith("nas.pools.tank.disks: 5 disks cannot be mdraid raid10, which keeps all in pairs; write 4")


def of_kind(each: levels.Level, **pool: Any) -> dict[str, Any]:
    """As few disks as a level takes, and the pool of them, with what else is said of it."""
    disks = [f"d{number}" for number in range(each.least)]
    listed = {"kind": each.kind, "level": each.name, "disks": disks, **pool}
    return {"disks": {name: {"id": f"ata-DISK_{name}"} for name in disks}, "pools": {"tank": listed}}


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({"filesystem": "ext4"}, "tank.filesystem: zfs is the filesystem itself; leave it out"),
        ({"encryption": {"key": "env:KEY"}}, "tank.encryption: under zfs: not supported yet; leave it out"),
        ({"uuid": "11111111-2222-4333-8444-555555555555"}, "is not one of a zfs, which is a number, its guid"),
        ({"kind": "btrfs", "level": "raid1", "uuid": "1234567890123456789"}, "is not one of a btrfs, which is five"),
        ({"level": "raid1"}, 'raid1 is a level of mdraid, not of zfs; write "mirror", "raidz1", "raidz2" or "raidz3"'),
        ({"level": "stripe"}, "stripe of zfs loses everything with any one disk"),
        ({"level": "raidz"}, 'raidz of zfs is raidz1 by its short name; write "mirror", "raidz1", "raidz2" or'),
        ({"level": "draid"}, "draid of zfs: not supported yet"),
    ],
)
def test_what_no_pool_of_zfs_can_be(pool: dict[str, Any], words: str) -> None:
    with pytest.raises(InventoryError) as refusal:
        storage(of_kind(levels.level("zfs", "mirror"), **pool))
    (line,) = str(refusal.value).splitlines()
    assert words in line


@pytest.mark.parametrize("name", ["mirror", "raidz", "sparebox", "log", "c0t0"])
def test_what_zfs_lets_no_pool_be_called(name: str) -> None:
    own = of_kind(levels.level("zfs", "mirror"))
    own["pools"][name] = own["pools"].pop("tank")
    with pytest.raises(InventoryError, match=rf"nas\.pools\.{name}: no pool of ZFS may be called so; give the pool"):
        storage(own)


def test_a_pool_of_zfs_is_adopted_by_its_guid() -> None:
    kept = storage(of_kind(levels.level("zfs", "raidz1"), uuid="12345678901234567890"))
    assert kept.pools["tank"].uuid == "12345678901234567890"


def test_volumes_of_zfs_have_snapshots() -> None:
    own = of_kind(levels.level("zfs", "mirror"))
    own |= {"volumes": {"media": {"pool": "tank"}}, "snapshots": {"media": {"hourly": 24}}}
    assert storage(own).snapshots["media"].hourly == 24


def test_what_fits_is_taken() -> None:
    kept = storage(right())
    assert kept.pools["tank"].disks == ("left", "right")
    assert kept.path("album") == "/srv/pics/album"


def test_a_disk_that_nobody_uses_is_no_mistake() -> None:
    assert "unused" in storage(right()).disks


@pytest.mark.parametrize("pool", ["tank", "pics"])
def test_a_pool_of_mdraid_and_of_btrfs_may_be_encrypted(pool: str) -> None:
    own = right()
    own["pools"][pool]["encryption"] = {"key": "env:POOL_KEY"}
    found = storage(own).pools[pool].encryption
    assert found is not None and str(found.key) == "env:POOL_KEY"


def test_what_luks_does_not_lie_under_is_one_line() -> None:
    own = right()
    own["disks"]["more"] = {"id": "ata-DISK_more"}
    films = {"kind": "snapraid", "disks": ["unused"], "parity": ["more"]}
    own["pools"]["films"] = films
    assert storage(own).pools["films"].encryption is None
    own["pools"]["films"] = films | {"encryption": {"key": "env:POOL_KEY"}}
    assert refused(own) == ["nas.pools.films.encryption: under snapraid: not supported yet; leave it out"]


def test_every_key_arrives_in_the_model() -> None:
    kept = load(DATA / "valid" / "everything.py", DATA).host("nas").storage
    assert kept is not None
    assert kept.disks["a"] == Disk(id="ata-WDC_WD80EFPX_WD-1")
    assert kept.disks["b"].consent == "0123456789abcdef"
    assert kept.pools["pics"].uuid == "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    assert (kept.volumes["media"].mode, kept.volumes["media"].quota) == ("2775", 2 * 2**40)
    assert str(kept.users["ben"].password) == "command:pass show ben"
    assert kept.shares["media"].nfs == Nfs(clients=("s1", "a1", "guests", "198.51.100.7"), read_only=True, squash="all")
    assert kept.shares["tm"].smb == Smb(users=("ben",), purpose="timemachine")
    assert kept.snapshots["album"] == Snapshots(hourly=24, daily=7, weekly=4, monthly=12)
    assert kept.backups["away"].keep == Keep(daily=3)
    assert (kept.backups["near"].append_only, kept.backups["near"].at) == (True, "03:00")
    assert kept.alerts.webhook == "https://hooks.example.org/T0/key"


def test_only_a_nas_keeps_anything() -> None:
    home = load(DATA / "valid" / "everything.py", DATA)
    assert [host.name for host in home.hosts if host.storage is not None] == ["nas"]
    assert load(DATA / "valid" / "only-a-nas.py", DATA).hosts[0].storage == Nas()


def test_shared_values_are_for_every_nas_and_no_other_host(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "all.py").write_text(
        'k3s_version = "v1.35.6+k3s1"\nusers = {"anna": {"uid": 2001}}\nalerts = {"ntfy": "https://ntfy.sh/all"}\n'
    )
    (tmp_path / "group_data" / "nas.py").write_text('alerts = {"ntfy": "https://ntfy.sh/nas"}\n')
    path = tmp_path / "home.py"
    path.write_text(
        'k3s_servers = [("s1", {"address": "192.0.2.11"})]\n'
        'nas = [("n1", {"address": "192.0.2.31"}),\n'
        '       ("n2", {"address": "192.0.2.32", "users": {"ben": {"uid": 2001}}})]\n'
    )
    home = load(path, tmp_path)
    n1, n2 = (home.host(name).storage for name in ("n1", "n2"))
    assert home.host("s1").storage is None
    assert n1 is not None
    assert n2 is not None
    assert list(n1.users) == ["anna"]
    # The host's own value replaces the shared one whole.
    assert list(n2.users) == ["ben"]
    assert n1.alerts == n2.alerts == Alerts(ntfy="https://ntfy.sh/nas")


def test_a_shared_mistake_is_one_problem_and_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "nas.py").write_text('volumes = {"media": {"pool": "tank"}}\n')
    path = tmp_path / "home.py"
    path.write_text('nas = [("n1", {"address": "192.0.2.31"}), ("n2", {"address": "192.0.2.32"})]\n')
    with pytest.raises(InventoryError) as refusal:
        load(path, tmp_path)
    assert str(refusal.value) == "group_data/nas.py: volumes.media.pool: no 'tank' in pools; write it in pools"


def test_what_is_wrong_in_itself_is_not_also_unknown() -> None:
    """One slip is one problem: what refers to it is right."""
    for key, name in (("disks", "left"), ("pools", "pics"), ("volumes", "album"), ("users", "anna")):
        own = right()
        own[key][name] = {"nonsense": 1}
        assert all(f"nas.{key}.{name}" in line for line in refused(own))
        own = right()
        own[key] = "nonsense"
        (line,) = refused(own)
        assert line.startswith(f"nas.{key}: ")


def references() -> Iterator[tuple[str, ...]]:
    """Where in ``right()`` something is named that stands elsewhere."""
    yield "pools", "tank", "disks", "1"
    yield "pools", "pics", "disks", "0"
    yield "volumes", "media", "pool"
    yield "volumes", "media", "owner"
    yield "shares", "media", "volume"
    yield "shares", "media", "nfs", "clients", "1"
    yield "shares", "album", "smb", "users", "0"
    yield "backups", "near", "volumes", "0"


@given(st.sampled_from(list(references())), st.text(st.sampled_from("abcdefxyz"), min_size=1, max_size=12))
def test_a_name_that_nothing_has_is_one_problem_at_its_place(where: tuple[str, ...], wrong: str) -> None:
    own = right()
    held: Any = own
    for part in where[:-1]:
        held = held[int(part)] if isinstance(held, list) else held[part]
    last: Any = int(where[-1]) if isinstance(held, list) else where[-1]
    # What the name cannot be by chance: one there is.
    held[last] = f"q{wrong}"
    (line,) = refused(own)
    place = "nas." + re.sub(r"\.(\d+)", r"[\1]", ".".join(where))
    assert line.startswith(f"{place}: ")
    assert f"'q{wrong}'" in line


some = st.sampled_from
pieces = st.fixed_dictionaries(
    {},
    optional={
        "disks": st.dictionaries(
            some("abcd"), st.builds(lambda n: {"id": f"ata-X_{n}"}, st.integers(100, 105)), max_size=4
        ),
        "pools": st.dictionaries(
            some(["p", "q", "www"]),
            st.fixed_dictionaries(
                {
                    "kind": some(["mdraid", "btrfs", "zfs"]),
                    "level": some(["raid1", "raid1", "raid5"]),
                    "disks": st.lists(some("abcd"), max_size=3),
                }
            ),
            max_size=2,
        ),
        "volumes": st.dictionaries(
            some("vw"), st.fixed_dictionaries({"pool": some("pq"), "owner": some(["root", "u", "x"])}), max_size=2
        ),
        "users": st.dictionaries(
            some("ux"),
            st.fixed_dictionaries({"uid": st.integers(999, 1002)}, optional={"password": st.just("env:P")}),
            max_size=2,
        ),
        "shares": st.dictionaries(
            some(["s", "t", "homes"]),
            st.fixed_dictionaries(
                {"volume": some("vw")},
                optional={
                    "nfs": st.fixed_dictionaries(
                        {"clients": st.lists(some(["lan", "desk", "192.0.2.9", "nobody"]), max_size=2)}
                    ),
                    "smb": st.fixed_dictionaries(
                        {
                            "users": st.lists(some("ux"), max_size=2),
                            "purpose": some(["default", "multiprotocol", "timemachine", "private"]),
                        }
                    ),
                },
            ),
            max_size=2,
        ),
        "snapshots": st.dictionaries(some("vw"), st.fixed_dictionaries({"daily": st.integers(0, 2)}), max_size=2),
        "backups": st.dictionaries(
            some("mn"),
            st.fixed_dictionaries(
                {
                    "volumes": st.lists(some("vw"), max_size=2),
                    "to": some(["/srv/p/r", "/srv/q/r", "/mnt/r", "sftp:me@nas:/srv/p/s", "s3:x/y"]),
                    "password": st.just("env:P"),
                }
            ),
            max_size=2,
        ),
    },
)


@examples(4)
@given(pieces)
def test_what_is_taken_fits_together(own: dict[str, Any]) -> None:
    before = copy.deepcopy(own)
    try:
        kept = storage(own)
    except InventoryError as error:
        assert all(re.fullmatch(r"nas\.\S+: [^;]+; .+", str(problem)) for problem in error.problems)
        assert own == before
        return
    used = [disk for pool in kept.pools.values() for disk in pool.disks]
    assert len(used) == len(set(used))
    assert set(used) <= set(kept.disks)
    assert len({disk.id for disk in kept.disks.values()}) == len(kept.disks)
    assert all(len(pool.disks) > 1 for pool in kept.pools.values())
    assert {volume.pool for volume in kept.volumes.values()} <= set(kept.pools)
    assert {volume.owner for volume in kept.volumes.values()} <= {*kept.users, "root"}
    assert len({user.uid for user in kept.users.values()}) == len(kept.users)
    assert len({share.volume for share in kept.shares.values()}) == len(kept.shares)
    for share in kept.shares.values():
        assert share.volume in kept.volumes
        assert share.nfs or share.smb
        if share.smb:
            assert share.smb.users
            assert all(kept.users[name].password for name in share.smb.users)
            assert (share.smb.purpose == "multiprotocol") == (share.nfs is not None)
    assert all(kept.pools[kept.volumes[name].pool].kind == "btrfs" for name in kept.snapshots)
    for backup in kept.backups.values():
        assert backup.volumes
        pools = {kept.volumes[name].pool for name in backup.volumes}
        assert not any(f"/srv/{pool}/" in backup.to for pool in pools)


@given(st.from_regex(r"(ata|wwn|nvme|scsi|usb)-[A-Z0-9]{2,9}_[A-Z0-9]{3,9}", fullmatch=True))
def test_a_disk_by_its_serial_and_by_its_id_is_one_disk(name: str) -> None:
    own = {"disks": {"a": {"id": name}, "b": {"id": f"serial:{name.rpartition('_')[2]}"}}}
    (line,) = refused(own)
    assert line.startswith("nas.disks.b.id: serial:")
    assert "is also disk a" in line


@pytest.mark.parametrize(
    "text", ["sda", "/dev/sdb1", "vdc", "nvme0n1", "nvme0n1p2", "md127", "dm-0", "mmcblk0", "xvda"]
)
def test_a_name_that_the_next_boot_may_give_away_is_no_disk(text: str) -> None:
    with pytest.raises(ValidationError, match="another disk after the next boot"):
        TypeAdapter(DiskId).validate_python(text)


TAKEN_APART = ";&|$`'\"\\<>(){}*?~!\n\t\0"
TAILS = st.text(st.sampled_from("abz019:/._-+=@% #" + TAKEN_APART), max_size=24)
HEADS = st.sampled_from(["", "/", "serial:", "sftp:", "rest:https://", "s3:", "ata-X_", "me@"])


@pytest.mark.parametrize("shape", [DiskId, NfsClient, Repository, Mail, Smtp])
@given(text=st.builds(lambda head, tail: head + tail, HEADS, TAILS))
def test_nothing_that_a_shell_would_take_apart_gets_in(shape: Any, text: str) -> None:
    try:
        taken: str = TypeAdapter(shape).validate_python(text)
    except ValidationError:
        return
    assert not set(taken) & set(TAKEN_APART)
    assert not taken.startswith("-")
    # What ssh would take for an option; a disk may be called so.
    assert shape is not Repository or not taken.startswith("sftp:-")


@pytest.mark.parametrize(
    "text",
    [
        "/mnt/usb/restic",
        "sftp:me@backup.example.org:/restic",
        "sftp://me@[2001:db8::1]:2222//restic",
        "rest:https://backup.example.org:8000/nas/",
    ],
)
def test_a_place_that_restic_knows_is_taken(text: str) -> None:
    assert TypeAdapter(Repository).validate_python(text) == text


@given(st.integers(1, 2**20), st.sampled_from("KMGT"))
def test_a_size_is_counted_in_powers_of_1024(count: int, unit: str) -> None:
    assert TypeAdapter(Bytes).validate_python(f"{count}{unit}") == count * 1024 ** ("KMGT".index(unit) + 1)


SECRET = st.text(st.sampled_from("hunter2HUNTER/:?&%=."), min_size=4, max_size=16).map(lambda text: f"s3cr3t{text}")


@given(SECRET)
def test_a_secret_in_clear_is_never_echoed(secret: str) -> None:
    own = right()
    own["users"] = {"anna": {"uid": 2001, "password": secret}, "ben": {"uid": 2002, "pass": secret}, "eve": secret}
    own["backups"] = {
        "a": {"volumes": ["media"], "to": f"rest:https://me:{secret}@example.org/x", "password": secret},
        "b": {"volumes": ["media"], "to": f"sftp:me:{secret}@example.org:/x", "password": [secret]},
        "c": {"volumes": ["media"], "to": f"s3:https://me:{secret}@example.org/x", "password": {"env": secret}},
        "d": {"volumes": ["media"], "to": f"ftp://me:{secret}@example.org/x", "passwort": secret},
    }
    own["alerts"] = {"smtp": f"me:{secret}@example.org:25", "ntfy": secret, "webhook": f"https://me:{secret}@x"}
    assert secret not in "\n".join(refused(own))


def everything() -> Home:
    return load(DATA / "valid" / "everything.py", DATA)


def test_passwords_are_among_the_secrets_to_prove() -> None:
    found = dict(description.secrets(everything()))
    assert str(found["nas.users.anna.password"]) == "env:ANNA"
    assert str(found["nas.backups.away.password"]) == "file:~/restic"
    assert {place for place in found if place.startswith("nas.")} == {
        "nas.users.anna.password",
        "nas.users.ben.password",
        "nas.backups.away.password",
        "nas.backups.near.password",
        "nas.alerts.smtp_password",
        "nas.alerts.ntfy_token",
    }


def test_a_nas_without_a_cluster_has_secrets_too() -> None:
    assert list(dict(description.secrets(validate(given_nas(right()))))) == [
        "nas.users.anna.password",
        "nas.backups.near.password",
    ]


def test_a_nas_is_described_in_a_line_for_each_thing() -> None:
    out = io.StringIO()
    description.as_text(everything(), Console(file=out, width=200))
    lines = out.getvalue().splitlines()
    for line in (
        "nas pool tank: mdraid raid1 of a, b, at /srv/tank",
        "nas disks in no pool: e (left alone)",
        "nas volume media: /srv/tank/media, anna's; at most 2 TiB; no snapshots; backed up by away",
        "nas volume album: /srv/pics/album, ben's; snapshots 24 hourly, 7 daily, 4 weekly, 12 monthly;"
        " backed up by away, near",
        "nas volume tm: /srv/pics/tm, root's; no snapshots; no backup",
        "nas share media: media over NFS to s1, a1, guests, 198.51.100.7 (read only)"
        " and SMB to anna, ben (multiprotocol, recycle bin)",
        "nas backup near: album to /srv/tank/restic at 03:00",
        "nas alerts to: anna@example.org, https://ntfy.sh, https://hooks.example.org",
        "secret nas.users.anna.password: env:ANNA (readable)",
    ):
        assert line in lines
    assert "nobody-guesses" not in out.getvalue()


def test_silence_about_dying_disks_is_said() -> None:
    own = right()
    del own["alerts"]
    out = io.StringIO()
    description.as_text(validate(given_nas(own)), Console(file=out, width=200))
    assert "nas alerts to: nobody: a dying disk would go unnoticed" in out.getvalue()


def test_a_nas_in_json_holds_no_address_that_is_a_key() -> None:
    text = description.as_json(everything())
    kept = json.loads(text)["hosts"][2]["storage"]
    assert kept["users"]["anna"] == {"uid": 2001, "password": "env:ANNA"}
    assert kept["alerts"]["ntfy"] == "https://ntfy.sh"
    assert "nobody-guesses" not in text


def test_the_keys_are_the_models() -> None:
    assert tuple(Nas.model_fields) == keys.NAS == nas_written.KEYS


def test_the_readme_tells_every_nested_key() -> None:
    section = README.partition("## A NAS")[2].partition("```")[0]
    for shape in (Disk, Pool, Volume, User, Nfs, Smb, Share, Snapshots, Backup, Keep, Alerts, Ups):
        for name in shape.model_fields:
            assert f"`{name}`" in section, name


def test_the_readmes_example_is_right(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "home.py").write_text('networks = {"lan": "192.168.1.0/24"}\n')
    path = tmp_path / "home.py"
    path.write_text(README.partition("```python\n")[2].partition("```")[0])
    kept = load(path, tmp_path).hosts[0].storage
    assert kept is not None
    assert {pool.kind for pool in kept.pools.values()} == {"btrfs", "mdraid"}
    assert all(getattr(kept, key) for key in keys.NAS)
