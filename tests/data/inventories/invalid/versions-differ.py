k3s_servers = ([("s1", {"address": "192.0.2.11"})], {"k3s_version": "v1.34.9+k3s1"})
k3s_agents = [("a1", {"address": "192.0.2.21"})]
