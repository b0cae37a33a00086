nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {"left": {"id": "ata-DISK_left"}, "right": {"id": "ata-DISK_right"}},
            "pools": {"tank": {"kind": "mdraid", "level": "raid1", "disks": ["left", "right"]}},
            "users": {"anna": {"uid": 2001}},
            "volumes": {
                "a": {"pool": "tnak"},
                "b": {"pool": "tank", "owner": "ana"},
                "c": {"pool": "tank", "owner": "Anna", "group": "family:x"},
                "d": {"pool": "tank", "quota": "500GB"},
                "e": {"pool": "tank", "quota": 500},
                "f": {"pool": "tank", "quota": "0G"},
                "g": {"pool": "tank", "mode": "rwx"},
                "h": {"pool": "tank", "mode": 770},
                "i": {"pool": "tank", "group": "users", "owner": "root"},
                "../etc": {"pool": "tank"},
            },
        },
    )
]
