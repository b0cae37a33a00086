k3s_servers = [
    (
        "s1",
        {"address": "192.0.2.11", "server_config": {"cluster-domain": "home.arpa", "kubelet-arg": ["max-pods=200"]}},
    ),
]
