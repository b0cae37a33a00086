agent_config = {"disable": ["traefik"], "kubelet-arg": ["max-pods=200"]}
