packages = "vim"
firewall = "on"
timezone = 2
registries = "hunter2"
