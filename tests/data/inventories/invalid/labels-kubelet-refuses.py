k3s_servers = [
    (
        "s1",
        {
            "address": "192.0.2.11",
            "labels": {
                "node-role.kubernetes.io/storage": "true",
                "k8s.io/x": "y",
                "node.kubernetes.io/fine": "yes",
                "topology.kubernetes.io/zone": "attic",
                "disk": True,
                "-x": "y",
                "colour": "light blue",
            },
        },
    ),
]
