k3s_servers = [("@docker/s1", {"address": "192.0.2.11"})]
