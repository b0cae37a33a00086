k3s_servers = [
    (
        "s1",
        {
            "address": "192.0.2.11",
            "ssh_strict_host_key_checking": "no",
            "ssh_known_hosts_file": "/dev/null",
            "ssh_port": 0,
            "ssh_user": 7,
        },
    )
]
