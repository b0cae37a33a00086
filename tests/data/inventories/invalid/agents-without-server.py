k3s_agents = [("a1", {"address": "192.0.2.21"})]
