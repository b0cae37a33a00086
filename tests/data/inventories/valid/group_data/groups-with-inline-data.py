ssh_user = "pi"
