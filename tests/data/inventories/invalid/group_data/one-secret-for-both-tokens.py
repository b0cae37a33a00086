k3s_token = "env:K3S_TOKEN"
k3s_agent_token = "env:K3S_TOKEN"
