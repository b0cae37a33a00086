server_config = {
    "--disable": ["traefik"],
    "flannel_backend": "host-gw",
    "flanel-backend": "host-gw",
    "secret-encryption": True,
    "brand-new-flag-of-next-year": True,
    "kubelet-arg": {"max-pods": 200},
}
