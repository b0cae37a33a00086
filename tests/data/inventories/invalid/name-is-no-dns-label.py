k3s_servers = [("S1", {"address": "192.0.2.11"})]
k3s_agents = [
    ("a_1", {"address": "192.0.2.21"}),
    ("a2.home.arpa", {"address": "192.0.2.22"}),
    ("192.0.2.23", {"address": "192.0.2.23"}),
    ("-a4", {"address": "192.0.2.24"}),
]
