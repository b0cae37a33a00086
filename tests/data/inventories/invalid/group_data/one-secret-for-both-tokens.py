k3s_token = "env:HOMELAB_TOKEN"
k3s_agent_token = "env:HOMELAB_TOKEN"
