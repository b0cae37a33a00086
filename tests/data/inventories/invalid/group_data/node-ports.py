server_config = {
    "service-node-port-range": "20000-22767",
    "kube-apiserver-arg": ["v=2", "--service-node-port-range=80-32767"],
}
