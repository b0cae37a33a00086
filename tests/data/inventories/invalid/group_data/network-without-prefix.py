# Of the default, which would overlap, nobody speaks.
cluster_cidr = "10.44.0.0"
service_cidr = "10.42.0.0/16"
