cluster_cidr = "10.42.0.0"
service_cidr = ["10.43.0.0/16", "10.44.0.0/16"]
networks = {"lan": "192.0.2.1/24", "guests": "everyone"}
