nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {
                "a": {"id": "/dev/sda"},
                "b": {"id": "nvme0n1"},
                "c": {"id": "ata-WDC_WD80EFPX_WD-1-part1"},
                "d": {"id": "md-uuid-1111:2222"},
                "e": {"id": "../../sda"},
                "f": {"id": "ata-WDC_WD80EFPX_WD-2", "consent": "yes"},
                "g": {"id": "ata-WDC_WD80EFPX_WD-3"},
                "h": {"id": "/dev/disk/by-id/ata-WDC_WD80EFPX_WD-3"},
                "i": {"id": "serial:WD-3"},
                "j": {"id": 5},
                "k": {"serial": "WD-4"},
                "Left": {"id": "ata-WDC_WD80EFPX_WD-5"},
                "m": "ata-WDC_WD80EFPX_WD-6",
            },
        },
    )
]
