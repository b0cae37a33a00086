tls_san = ["k3s.home.arpa", "https://k3s.home.arpa", "192.168.1.256"]
ntp_servers = ["ptb time"]
packages = ["vim", "--purge"]
timezone = "../../etc/shadow"
image_archives = ["../k3s.tar", "k3s-{version}.tar"]
kubeconfig = ""
networks = {"the lan": "192.168.1.0/24"}
