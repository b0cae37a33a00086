nas = [
    ("n1", {"address": "192.0.2.31", "alerts": {"mail": "anna@example.org"}}),
    ("n2", {"address": "192.0.2.32", "alerts": {"smtp": "mail.example.org:25"}}),
    ("n3", {"address": "192.0.2.33", "alerts": {"mail": "anna", "smtp": "me:hunter2@mail.example.org:587"}}),
    ("n4", {"address": "192.0.2.34", "alerts": {"ntfy": "https://me:hunter2@ntfy.sh/x", "webhook": "hunter2"}}),
    ("n5", {"address": "192.0.2.35", "alerts": {"smtp": "mail.example.org:99999", "ntfi": "https://ntfy.sh/hunter2"}}),
    ("n6", {"address": "192.0.2.36", "alerts": {"mail": {"hunter2": 1}, "webhook": ["hunter2"]}}),
    ("n8", {"address": "192.0.2.38", "alerts": {"smtp_user": "hunter2 hunter2", "ntfy_token": "tk_hunter2"}}),
    (
        "n9",
        {"address": "192.0.2.39", "alerts": {"mail_from": "n@example.org", "smtp_user": "n", "ntfy_token": "env:T"}},
    ),
    ("n10", {"address": "192.0.2.40", "alerts": {"smtp_password": "env:SMTP"}}),
    ("n7", {"address": "192.0.2.37", "alerts": "https://hooks.example.org/hunter2"}),
]
