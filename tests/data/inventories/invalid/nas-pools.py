_disks = {name: {"id": f"ata-DISK_{name}"} for name in ("left", "right", "top", "low")}
_more = {f"m{n}": {"id": f"ata-MORE_{n}"} for n in range(1, 17)}
nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {**_disks, **_more, "old": {"id": "ata-DISK_old", "consent": "0123456789abcdef"}},
            "pools": {
                "tank": {"kind": "mdraid", "level": "raid1", "disks": ["left", "rigth"]},
                "pics": {"kind": "btrfs", "level": "raid1", "disks": ["left", "spare"], "filesystem": "ext4"},
                "one": {"kind": "btrfs", "level": "raid1", "disks": ["right"]},
                "none": {"kind": "btrfs", "level": "raid1", "disks": []},
                "five": {"kind": "mdraid", "level": "raid5", "disks": ["m1", "m2"]},
                "six": {"kind": "mdraid", "level": "raid6", "disks": ["m3", "m4", "m5"]},
                "thrice": {"kind": "btrfs", "level": "raid1c3", "disks": ["m11", "m12"]},
                "ten": {"kind": "btrfs", "level": "raid10", "disks": ["m13", "m14", "m15"]},
                "twice": {"kind": "mdraid", "level": "raid1", "disks": ["top", "top"]},
                "www": {
                    "kind": "mdraid",
                    "level": "raid1",
                    "disks": ["low", "old"],
                    "uuid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                },
                "again": {
                    "kind": "mdraid",
                    "level": "raid1",
                    "disks": ["d8", "d9"],
                    "uuid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                },
            },
        },
    )
]
