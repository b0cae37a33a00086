"""What all hosts of the example share: copy it to home.py beside it. inventory/README.md lists the keys."""

# Whole networks that may reach SSH and the services on every host, by a name of your choice.
networks = {"lan": "192.168.1.0/24"}

timezone = "Europe/Berlin"
packages = ["htop", "vim"]

# Further names and addresses that the Kubernetes API answers to, a name in your router say.
tls_san = ["k3s.home.arpa"]

# Native K3s keys, as in its config.yaml, the same on all servers. What the toolkit sets itself is refused.
server_config = {
    "disable": ["traefik"],
    "secrets-encryption": True,
}

# Secrets are kept elsewhere and referred to: env:NAME, file:PATH (mode 0600) or command:..., which prints it.
# Without a token here the deploy makes one and lists it among the things to keep outside the house.
# k3s_token = "command:pass show homelab/k3s-token"
# k3s_agent_token = "file:~/.config/homelab/k3s-agent-token"
# registries = {
#     "configs": {"registry.home.arpa": {"auth": {"username": "me", "password": "env:REGISTRY_PASSWORD"}}},
# }
