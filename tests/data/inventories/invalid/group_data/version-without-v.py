k3s_version = "1.33.4+k3s1"
