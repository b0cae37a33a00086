kubeconfig = "~nobody-of-that-name/config"
k3s_token = "file:~nobody-of-that-name/token"
k3s_agent_token = "file:/run/\0token"
