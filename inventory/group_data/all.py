"""What every inventory here shares; an inventory's own file, home.py say, says otherwise where it must."""

# The newest of the v1.35 line when this was written (June 2026):
# https://github.com/k3s-io/k3s/releases/tag/v1.35.6%2Bk3s1
# Change it on purpose and by one minor at a time; nothing here follows a channel.
k3s_version = "v1.35.6+k3s1"
