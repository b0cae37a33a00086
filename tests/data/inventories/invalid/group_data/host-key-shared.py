interface = "eth0"
address = "192.0.2.11"
