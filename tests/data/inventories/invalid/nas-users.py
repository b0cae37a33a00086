nas = [
    (
        "nas",
        {
            "address": "192.0.2.31",
            "users": {
                "anna": {"uid": 2001, "password": "hunter2"},
                "ben": {"uid": 2001, "pasword": "hunter2"},
                "carl": {"uid": 2002},
                "dora": {"uid": 2002},
                "emil": {"uid": 500},
                "fritz": {"uid": 65534},
                "gil": {"uid": "2005", "password": ["hunter2"]},
                "Hugo": {"uid": 2006},
                "www-data": {"uid": 2007},
                "ida": "hunter2",
                "jo": {"uid": 2008, "password": "env:HOMELAB_JO"},
            },
        },
    )
]
