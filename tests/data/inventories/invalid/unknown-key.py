k3s_servers = [("s1", {"adress": "192.0.2.11", "colour": "blue"})]
