_pools = {"pics": {"kind": "btrfs", "level": "raid1", "disks": ["left", "right"]}}
nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {"left": {"id": "ata-DISK_left"}, "right": {"id": "ata-DISK_right"}},
            "pools": _pools,
            "volumes": {name: {"pool": "pics"} for name in "abcdefg"},
            "shares": {
                "a": {"volume": "a", "nfs": {"clients": ["desk", "lan"]}},
                "b": {"volume": "b", "nfs": {"clients": ["lan", "192.0.2.128/25", "198.51.100.1", "198.51.100.1"]}},
                "c": {"volume": "c", "nfs": {"clients": ["deks", "guests", "everything"]}},
                "d": {"volume": "d", "nfs": {"clients": ["0.0.0.0/0", "::/0", "*", "192.0.2.1/24", 5]}},
                "e": {"volume": "e", "nfs": {"clients": "lan"}},
                "f": {"volume": "f", "nfs": {"clients": ["both", "desk", "192.0.2.41"]}},
                "g": {"volume": "g", "nfs": {"clients": ["desk", "lab", "2001:db8::/64", "2001:db8::5"]}},
            },
        },
    ),
    ("desk", {"address": "192.0.2.41"}),
    ("both", {"address": "203.0.113.9"}),
]
