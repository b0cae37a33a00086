_nowhere = {"ssh_key": "~nobody-of-that-name/id", "ssh_known_hosts_file": "~nobody-of-that-name/hosts"}
k3s_servers = [("s1", {"address": "192.0.2.11", **_nowhere})]
