k3s_version = "stable"
