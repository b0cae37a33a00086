k3s_servers = [("s1", {"address": "192.0.2.11"})]
nas = [
    ("@fake/n1", {"address": "192.0.2.31", "ups": {"driver": "usbhid-up", "nodes": []}}),
    ("@fake/n2", {"address": "192.0.2.32", "ups": {"driver": 5, "port": "a b", "nodes": []}}),
    ("@fake/n3", {"address": "192.0.2.33", "ups": {"options": {"driver": "x", "v": 1}, "nodes": []}}),
    ("@fake/n4", {"address": "192.0.2.34", "ups": {"options": {"community": 'hunter2"'}, "nodes": []}}),
    ("@fake/n5", {"address": "192.0.2.35", "ups": {"options": {"a b": 1, "pollfreq": 1.5}, "wait": 6000, "nodes": []}}),
    ("@fake/n6", {"address": "192.0.2.36", "ups": {"options": {"flag": False}, "nodes": []}}),
    ("@fake/n7", {"address": "192.0.2.37", "ups": "hunter2"}),
    ("@fake/n8", {"address": "192.0.2.38", "ups": {"nodes": ["n8", "s11", "s1", "s1", "n9"]}}),
    ("@fake/n9", {"address": "192.0.2.39", "ups": {"driver": "dummy-ups", "nodes": ["s1"]}}),
    ("@fake/n10", {"address": "192.0.2.40", "ups": {}}),
]
