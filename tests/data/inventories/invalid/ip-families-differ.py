k3s_servers = [("s1", {"address": "2001:db8::1"})]
