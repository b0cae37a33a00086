cluster_cidr = "10.42.0.0/25"
service_cidr = "10.128.0.0/9"
