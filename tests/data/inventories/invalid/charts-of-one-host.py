nas = [("nas", {"address": "192.0.2.31", "charts": {}})]
