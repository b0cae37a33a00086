"""What the rehearsed home shares."""

from pathlib import Path as _Path

# Addresses of a documentation network (RFC 5737), so that nothing real can be meant.
networks = {"lan": "192.0.2.0/24"}
tls_san = ["k3s.rehearsal.test"]
timezone = "Europe/Berlin"
# A merge into a real kubeconfig is never rehearsed.
kubeconfig = str(_Path(__file__).resolve().parent.parent.parent / ".sandbox" / "rehearsal-kubeconfig")
charts = [
    {"name": "nas-storage", "namespace": "kube-system", "values": {"classes": {"nas": {"share": "kube"}}}},
    {"name": "health-reader", "namespace": "kube-system"},
]
