import os as _os
from pathlib import Path

_helper = Path(_os.devnull)

k3s_version = "v1.34.9-rc1+k3s1"
k3s_token = "env:K3S_TOKEN"
k3s_agent_token = "command:pass show k3s/agent"
cluster_cidr = "10.100.0.0/16"
service_cidr = ("10.101.0.0/16",)
tls_san = ["k3s.home.arpa", "192.0.2.10"]
labels = {"house": "old", "disk": "any"}
taints = ["house=old:PreferNoSchedule"]
server_config = {"disable": ["traefik"], "brand-new-flag-of-next-year": True}
agent_config = {"kubelet-arg": ["max-pods=100"]}
registries = {"configs": {"registry.home.arpa": {"auth": {"username": "me", "password": "env:REGISTRY"}}}}
image_archives = ["k3s-airgap-images-{arch}.tar.zst"]
kubeconfig = "~/.kube/home"
timezone = "America/Argentina/Buenos_Aires"
ntp_servers = ["ptbtime1.ptb.de", "192.0.2.1"]
packages = ["vim", "libstdc++6", "nano=7.2-1+deb12u1"]
unattended_upgrades = False
ssh_hardening = True
firewall = True
networks = {"lan": "192.0.2.0/24", "guests": "203.0.113.0/24", "vpn": "2001:db8:7::/64"}
