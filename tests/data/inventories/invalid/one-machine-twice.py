nas = [
    ("n1", {"address": "192.0.2.11", "ssh_hostname": "nas.home.arpa"}),
    ("n2", {"address": "192.0.2.12", "ssh_hostname": "nas.home.arpa", "ssh_port": 22}),
    ("n3", {"address": "192.0.2.13", "ssh_hostname": "nas.home.arpa", "ssh_port": 2222}),
    ("n4", {"address": "192.0.2.14", "ssh_hostname": "n5"}),
    ("n5", {"address": "192.0.2.15"}),
]
