networks = {"lan": "192.0.2.0/24", "lab": "198.51.100.0/24", "both": "203.0.113.0/24", "guests": "everyone"}
