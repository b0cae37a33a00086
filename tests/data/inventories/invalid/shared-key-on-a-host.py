k3s_servers = [("s1", {"address": "192.0.2.11", "k3s_version": "v1.35.6+k3s1", "timezone": "UTC"})]
