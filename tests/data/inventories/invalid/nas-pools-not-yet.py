_pair = {"disks": ["left", "right"]}
nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {"left": {"id": "ata-DISK_left"}, "right": {"id": "ata-DISK_right"}},
            "pools": {
                "a": {"kind": "lvm", "level": "raid1", **_pair},
                "b": {"kind": "snapraid", "level": "parity", **_pair},
                "c": {"kind": "mergerfs", "level": "mfs", **_pair},
                "d": {"kind": "luks", "level": "raid1", **_pair},
                "e": {"kind": "mdraid", "level": "raid1c3", **_pair},
                "f": {"kind": "mdraid", "level": "linear", **_pair},
                "g": {"kind": "btrfs", "level": "raid5", **_pair},
                "h": {"kind": "btrfs", "level": "raid6", **_pair},
                "i": {"kind": "btrfs", "level": "raid1c4", **_pair},
                "j": {"kind": "mdraid", "level": "raid0", **_pair},
                "k": {"kind": "mdraid", "level": 1, **_pair},
                "s": {"kind": "btrfs", "level": "dup", **_pair},
                "t": {"kind": "btrfs", "level": "raid01", **_pair},
                "l": {"kind": "mdadm", "level": "raid1", **_pair},
                "m": {"kind": "hardware", "level": "raid1", **_pair},
                "n": {"kind": "mdraid", "level": "raid1", "luks": True, "spares": ["left"], **_pair},
                "o": {"kind": "mdraid", "level": "raid1", "filesystem": "ntfs", "uuid": "1234", **_pair},
                "q": {"kind": "mdraid", "level": "raid1", "filesytem": "xfs", **_pair},
                "p-q": {"kind": "mdraid", "level": "raid1", **_pair},
                "r": {"level": "raid1"},
                "w": {"kind": "mdraid", "level": "raid1", "encryption": "correct horse battery", **_pair},
                "x": {"kind": "mdraid", "level": "raid1", "encryption": {"key": "correct horse battery"}, **_pair},
                "y": {"kind": "mdraid", "level": "raid1", "encryption": {"password": "correct horse"}, **_pair},
            },
        },
    )
]
