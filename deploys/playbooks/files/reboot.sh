# Reboots, a moment after this connection has ended.
if [ -e /run/homelab/lock ] && ! flock -n /run/homelab/lock true; then
  echo "E: a deploy is running on this host" >&2
  exit 1
fi
# In a session of its own, which the end of this one does not end.
setsid sh -c 'sleep 1; exec systemctl reboot' </dev/null >/dev/null 2>&1 &
