k3s_token = "env:K3S_TEST_UNSET"
k3s_agent_token = "file:no/such/file"
registries = {"configs": {"registry.home.arpa": {"auth": {"username": "me", "password": "command:false"}}}}
