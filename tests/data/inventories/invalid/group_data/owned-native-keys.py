server_config = {
    "token": "hunter2",
    "server": "https://192.0.2.11:6443",
    "cluster-init": True,
    "node-ip": "192.0.2.11",
    "node-label": ["disk=ssd"],
    "tls-san": ["k3s.home.arpa"],
    "flannel-iface+": "eth0",
    "disable-etcd": True,
    "etcd-s3-secret-key": "hunter2",
    "write-kubeconfig-mode": "0644",
}
