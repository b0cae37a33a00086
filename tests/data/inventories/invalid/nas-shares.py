_pools = {"pics": {"kind": "btrfs", "level": "raid1", "disks": ["left", "right"]}}
_lan = {"clients": ["192.0.2.0/24"]}
_anna = {"users": ["anna"]}
nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {"left": {"id": "ata-DISK_left"}, "right": {"id": "ata-DISK_right"}},
            "pools": _pools,
            "users": {"anna": {"uid": 2001, "password": "env:ANNA"}, "ben-o": {"uid": 2002}},
            "volumes": {name: {"pool": "pics"} for name in "abcdefghijk"},
            "shares": {
                "one": {"volume": "a", "smb": {"users": ["anna", "ben-o", "ana", "zoe"]}},
                "two": {"volume": "a", "nfs": _lan},
                "three": {"volume": "albun", "nfs": _lan},
                "four": {"volume": "b"},
                "five": {"volume": "c", "smb": {"users": []}, "nfs": {"clients": []}},
                "six": {"volume": "d", "smb": _anna, "nfs": _lan},
                "seven": {"volume": "e", "smb": {**_anna, "purpose": "multiprotocol"}},
                "eight": {
                    "volume": "f",
                    "smb": {**_anna, "purpose": "timemachine", "recycle": True, "read_only": True},
                    "nfs": _lan,
                },
                "nine": {"volume": "g", "smb": {**_anna, "purpose": "private"}, "nfs": _lan},
                "homes": {"volume": "h", "nfs": _lan},
                "ten": {"volume": "i", "smb": {**_anna, "purpose": "legacy"}},
                "eleven": {"volume": "j", "nfs": {**_lan, "squash": "yes", "async": True}},
                "twelve": {"volume": "k", "nfs": {**_lan, "squash": "all"}},
            },
        },
    )
]
