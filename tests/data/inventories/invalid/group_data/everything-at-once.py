k3s_version = "v1.33.4"
k3s_token = "hunter2"
