k3s_version = "v1.33.4"
