"""Every key of the inventory once."""

k3s_servers = [
    (
        "s1",
        {
            "address": "192.0.2.11",
            "interface": "eth0",
            "labels": {"disk": "ssd"},
            "taints": ["storage=yes:NoSchedule"],
            "server_config": {"node-external-ip": "198.51.100.7"},
            "ssh_hostname": "s1.home.arpa",
            "ssh_user": "admin",
            "ssh_connect_retry_min_delay": 1,
            "ssh_strict_host_key_checking": "yes",
        },
    ),
]
k3s_agents = [("a1", {"address": "192.0.2.21", "agent_config": {"kubelet-arg": ["max-pods=200"]}})]
nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "disks": {
                "a": {"id": "/dev/disk/by-id/ata-WDC_WD80EFPX_WD-1"},
                "b": {"id": "serial:WD-2", "consent": "0123456789abcdef"},
                "c": {"id": "wwn-0x5000c500a1b2c3d4"},
                "d": {"id": "nvme-eui.0025385b21404321"},
                "e": {"id": "virtio-spare"},
            },
            "pools": {
                "tank": {"kind": "mdraid", "level": "raid1", "disks": ["a", "b"], "filesystem": "xfs"},
                "pics": {
                    "kind": "btrfs",
                    "level": "raid1",
                    "disks": ("c", "d"),
                    "uuid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                },
            },
            "volumes": {
                "media": {"pool": "tank", "owner": "anna", "group": "family", "mode": "2775", "quota": "2T"},
                "album": {"pool": "pics", "owner": "ben"},
                "tm": {"pool": "pics"},
            },
            "users": {
                "anna": {"uid": 2001, "password": "env:ANNA"},
                "ben": {"uid": 2002, "password": "command:pass show ben"},
                "carl": {"uid": 2003},
            },
            "shares": {
                "media": {
                    "volume": "media",
                    "nfs": {"clients": ["s1", "a1", "guests", "198.51.100.7"], "read_only": True, "squash": "all"},
                    "smb": {"users": ["anna", "ben"], "purpose": "multiprotocol", "recycle": True},
                },
                "album": {"volume": "album", "nfs": {"clients": ["lan", "2001:db8::/64"]}},
                "tm": {"volume": "tm", "smb": {"users": ["ben"], "purpose": "timemachine"}},
            },
            "snapshots": {"album": {"hourly": 24, "daily": 7, "weekly": 4, "monthly": 12}},
            "backups": {
                "away": {
                    "volumes": ["album", "media"],
                    "to": "sftp:me@backup.example.org:/restic",
                    "password": "file:~/restic",
                    "at": "04:30",
                    "keep": {"daily": 3},
                    "check_parts": 7,
                    "sample": 5,
                },
                "near": {"volumes": ["album"], "to": "/srv/tank/restic", "password": "env:NEAR", "append_only": True},
            },
            "alerts": {
                "mail": "anna@example.org",
                "mail_from": "nas@example.org",
                "smtp": "mail.example.org:587",
                "smtp_user": "nas@example.org",
                "smtp_password": "env:SMTP",
                "ntfy": "https://ntfy.sh/topic-nobody-guesses",
                "ntfy_token": "file:~/ntfy",
                "webhook": "https://hooks.example.org/T0/key",
            },
        },
    )
]
