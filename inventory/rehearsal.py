"""A home of machines that do not exist: read the plan of every deploy without any host.

    HOMELAB_ENV=rehearsal pyinfra --dry inventory deploys/site.py

Needs no variable, secret, artifact or network: pyinfra's @fake connector answers every command.
"""

k3s_servers = [
    ("@fake/s1", {"address": "192.0.2.11"}),
    ("@fake/s2", {"address": "192.0.2.12"}),
    ("@fake/s3", {"address": "192.0.2.13"}),
]

k3s_agents = [
    ("@fake/a1", {"address": "192.0.2.21"}),
    ("@fake/a2", {"address": "192.0.2.22", "labels": {"disk": "ssd"}, "taints": ["gpu=yes:NoSchedule"]}),
]

nas = [
    ("@fake/nas", {"address": "192.0.2.31"}),
]
