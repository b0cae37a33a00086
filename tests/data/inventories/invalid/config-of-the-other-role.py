k3s_servers = [("s1", {"address": "192.0.2.11", "agent_config": {"debug": True}})]
nas = [("nas", {"address": "192.0.2.31", "server_config": {}})]
