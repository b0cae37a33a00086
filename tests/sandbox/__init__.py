"""The sandbox: simulated hosts under Vagrant, made by `python -m tests.sandbox up`."""
