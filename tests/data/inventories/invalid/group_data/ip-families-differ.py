cluster_cidr = "10.42.0.0/16,2001:db8:42::/56"
service_cidr = "2001:db8:43::/112"
