charts = [{"nam": "ntfy"}, {"name": "traefik", "value": {}}]
