"""Where K3s and the toolkit keep things on a node."""

BINARY = "/usr/local/bin/k3s"
PREVIOUS = "/usr/local/bin/k3s.previous"
LINKS = ("kubectl", "crictl", "ctr")
CONFIG = "/etc/rancher/k3s/config.yaml"
# K3s reads config.yaml.d after config.yaml. These two matter only when a node joins: a change in them restarts nothing.
JOIN = "/etc/rancher/k3s/config.yaml.d/10-join.yaml"
REGISTRATION = "/etc/rancher/k3s/config.yaml.d/20-registration.yaml"
REGISTRIES = "/etc/rancher/k3s/registries.yaml"
TOKEN = "/etc/rancher/k3s/token"
AGENT_TOKEN = "/etc/rancher/k3s/agent-token"
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
DATA = "/var/lib/rancher/k3s"
SERVER_CA = f"{DATA}/server/tls/server-ca.crt"
SERVER_TOKEN = f"{DATA}/server/token"
IMAGES = f"{DATA}/agent/images"
PRESTART = "/usr/local/lib/homelab/k3s-prestart"
KILLALL = "/usr/local/bin/k3s-killall.sh"
STARTED = "/run/homelab/k3s.started"
ESTABLISHED = "/etc/rancher/k3s/established"

SERVER_UNIT = "k3s"
AGENT_UNIT = "k3s-agent"


def unit(role: str) -> str:
    """The systemd unit of a role, named as upstream's install script names it so that other tools find it."""
    return SERVER_UNIT if role == "server" else AGENT_UNIT


def unit_file(role: str) -> str:
    return f"/etc/systemd/system/{unit(role)}.service"


def uninstall(role: str) -> str:
    return f"/usr/local/bin/{'k3s' if role == 'server' else 'k3s-agent'}-uninstall.sh"
