k3s_token = "hunter2"
k3s_agent_token = "env:"
registries = {"configs": {"registry.home.arpa": {"auth": {"username": "me", "password": "hunter2"}}}}
_sudo_password = "hunter2"
