k3s_servers = [(f"s{n}", {"address": f"192.0.2.1{n}", "away": n == 4}) for n in (1, 2, 3, 4)]
