k3s_servers = [("s1", {"address": "192.0.2.11"})]
