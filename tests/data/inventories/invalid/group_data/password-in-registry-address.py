registries = {"mirrors": {"docker.io": {"endpoint": ["https://me:hunter2@registry.home.arpa"]}}}
