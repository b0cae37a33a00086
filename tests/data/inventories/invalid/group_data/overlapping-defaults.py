networks = {"lan": "10.43.7.0/24"}
