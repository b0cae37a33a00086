k3s_servers = [("s1", {"address": "10.42.0.11"})]
