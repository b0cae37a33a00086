_LAN = {"s2": "192.0.2.12"}

k3s_servers = [("s1", {"address": _LAN["s1"]})]
