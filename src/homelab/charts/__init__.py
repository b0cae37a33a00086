"""What runs on the cluster: charts made into K3s's HelmChart objects, and what became of them. Pure."""
