cluster_cidr = "192.0.0.0/16"
service_cidr = "192.0.128.0/17"
networks = {"lan": "192.0.2.0/24"}
