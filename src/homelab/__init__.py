"""Your homelab as Python: provision a K3s cluster and a NAS on machines you own, then prove they are healthy."""
