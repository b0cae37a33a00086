"""testinfra: the hosts are as the inventory describes them. Run after a second deploy that changed nothing."""
