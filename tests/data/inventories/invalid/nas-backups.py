_env = {"password": "env:RESTIC"}
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
            "volumes": {"media": {"pool": "tank"}, "album": {"pool": "pics"}},
            "backups": {
                "fine": {"volumes": ["media"], "to": "/srv/pics/restic", **_env},
                "a": {"volumes": ["medai"], "to": "/mnt/usb/a", **_env},
                "b": {"volumes": [], "to": "/mnt/usb/a/", **_env},
                "c": {"volumes": ["album", "media"], "to": "/srv/tank/media/restic", **_env},
                "d": {"volumes": ["media"], "to": "/mnt/../srv//tank", **_env},
                "e": {"volumes": ["media"], "to": "sftp:root@nas:/srv/tank/restic", **_env},
                "f": {"volumes": ["media"], "to": "sftp://root@192.0.2.31:22//srv/tank/restic", **_env},
                "g": {"volumes": ["media"], "to": "rest:https://me:hunter2@backup.example.org/nas", **_env},
                "h": {"volumes": ["media"], "to": "sftp:me:hunter2@backup.example.org:/nas", **_env},
                "i": {"volumes": ["media"], "to": "s3:https://s3.example.org/bucket", **_env},
                "j": {"volumes": ["media"], "to": "somewhere", "password": "hunter2"},
                "k": {"volumes": ["media"], "to": "/tmp/restic", **_env},
                "l": {"volumes": ["media"], "to": "/", **_env},
                "m": {"volumes": ["media"], "to": "/mnt/m", "append_only": True, "keep": {"daily": 7}, **_env},
                "n": {"volumes": ["media"], "to": "/mnt/n", "at": "3 am", "keep": {"dayly": 7}, "sample": 0, **_env},
                "o": {"volumes": ["media"], "to": "/mnt/o"},
                "p": {"volumes": ["media"], "to": ["hunter2"], "check_parts": 1000, **_env},
                "q": {"volumes": ["media"], "to": "ftp://me:hunter2@backup.example.org/nas", **_env},
            },
        },
    )
]
