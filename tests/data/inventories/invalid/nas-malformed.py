nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": ["ata-DISK_a"],
            "pools": {"tank": {"kind": "mdraid", "level": "raid1", "disks": "a"}},
            "volumes": {"media": {"pool": "tank", "owner": "anna"}, 5: {"pool": "tank"}},
            "users": "hunter2",
            "shares": {"media": {"volume": "media", "smb": {"users": ["anna"]}}},
            "snapshots": {"media": 7},
        },
    )
]
