"""The cluster from outside, through the kubeconfig that the deploy wrote."""
