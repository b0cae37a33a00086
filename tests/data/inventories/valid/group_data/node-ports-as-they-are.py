server_config = {"service-node-port-range": "30000-31999", "kube-apiserver-arg": "service-node-port-range=30000-32767"}
