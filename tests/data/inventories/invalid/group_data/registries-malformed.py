registries = {"mirror": {}, "configs": ["registry.home.arpa"]}
