k3s_servers = [("all", {"address": "192.0.2.11"})]
k3s_agents = [("ungrouped", {"address": "192.0.2.21"}), ("localhost", {"address": "192.0.2.22"})]
