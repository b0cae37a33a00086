k3s_servers = [("s1", {"ssh_hostname": "192.0.2.11"})]
