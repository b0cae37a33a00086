k3s_servers = [("s1", {"address": "192.0.2.11"})]
k3s_agents = {"a1": {"address": "192.0.2.21"}}
nas = (("nas", {"address": "192.0.2.31"}), ("nas2", {}))
