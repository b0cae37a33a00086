"""Rolling OS patching: every host up to date, one after another, and the cluster never without an answer."""
