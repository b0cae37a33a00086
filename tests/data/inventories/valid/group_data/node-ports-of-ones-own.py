firewall = False
server_config = {"service-node-port-range": "20000-22767"}
