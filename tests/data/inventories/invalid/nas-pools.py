_disks = {name: {"id": f"ata-DISK_{name}"} for name in ("left", "right", "top", "low")}
nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {**_disks, "old": {"id": "ata-DISK_old", "consent": "0123456789abcdef"}},
            "pools": {
                "tank": {"kind": "mdraid", "level": "raid1", "disks": ["left", "rigth"]},
                "pics": {"kind": "btrfs", "level": "raid1", "disks": ["left", "spare"], "filesystem": "ext4"},
                "one": {"kind": "btrfs", "level": "raid1", "disks": ["right"]},
                "none": {"kind": "btrfs", "level": "raid1", "disks": []},
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
