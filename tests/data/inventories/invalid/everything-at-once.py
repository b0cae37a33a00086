k3s_servers = [("s1", {"address": "192.0.2.11"}), ("s2", {"address": "192.0.2.11"})]
k3s_agents = [("A1", {"adress": "192.0.2.21"})]
printers = ["p1"]
