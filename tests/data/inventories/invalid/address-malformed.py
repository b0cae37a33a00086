k3s_servers = [("s1", {"address": "192.0.2.256"})]
k3s_agents = [("a1", {"address": "127.0.0.1"}), ("a2", {"address": 3221225985}), ("a3", {"address": "255.255.255.255"})]
