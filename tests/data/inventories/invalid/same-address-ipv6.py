k3s_servers = [("s1", {"address": "2001:db8::1"})]
nas = [("nas", {"address": "2001:DB8:0::1"})]
