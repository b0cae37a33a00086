k3s_servers = ["s1"]
k3s_agents = [("a1", {"ssh_hostname": "a1.home.arpa"})]
