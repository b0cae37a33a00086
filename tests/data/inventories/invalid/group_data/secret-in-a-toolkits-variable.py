k3s_token = "env:HOMELAB_SECRET"
