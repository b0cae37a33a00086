"""Ansible over the same inventory: playbooks in a process of their own, what they did as data.

ansible-runner hangs in a process that gevent has patched, and then ignores signals; so it is imported by `child.py`
alone, which is never imported.
"""
