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
nas = [("nas", {"address": "192.0.2.31"})]
