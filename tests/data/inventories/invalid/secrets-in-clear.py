k3s_servers = [
    (
        "s1",
        {
            "address": "192.0.2.11",
            "ssh_password": "hunter2",
            "ssh_key_password": "hunter2",
            "ssh_paramiko_connect_kwargs": {"password": "hunter2"},
        },
    )
]
