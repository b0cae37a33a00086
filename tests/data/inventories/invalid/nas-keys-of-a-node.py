k3s_servers = [("s1", {"address": "192.0.2.11", "pools": {}, "users": {"anna": {"uid": 2001, "password": "hunter2"}}})]
