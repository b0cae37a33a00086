nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {name: {"id": f"ata-DISK_{name}"} for name in "abcd"},
            "pools": {
                "tank": {"kind": "mdraid", "level": "raid1", "disks": ["a", "b"]},
                "pics": {"kind": "btrfs", "level": "raid1", "disks": ["c", "d"]},
            },
            "volumes": {"media": {"pool": "tank"}, "album": {"pool": "pics"}, "scans": {"pool": "pics"}},
            "snapshots": {
                "media": {"daily": 7},
                "albums": {"daily": 7},
                "album": {},
                "scans": {"hourly": 1000, "daily": -1, "weekly": "4", "yearly": 1},
            },
        },
    )
]
