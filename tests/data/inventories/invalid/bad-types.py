k3s_servers = [
    (
        "s1",
        {
            "address": "192.0.2.11",
            "away": "yes",
            "labels": ["disk=ssd"],
            "taints": "gpu=yes:NoSchedule",
            "interface": "eth0:1",
            "server_config": ["debug"],
        },
    )
]
