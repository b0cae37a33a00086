k3s_verison = "v1.35.6+k3s1"
DNS = "192.0.2.1"
_helper = "fine"
