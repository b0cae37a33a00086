k3s_version = "v1.35.6+k3s1"
