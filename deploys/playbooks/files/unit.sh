# Runs $upgrade in a unit of its own, whose output goes to a file: an upgrade of ssh or a cable that is pulled must not
# end it half way. With a pipe to this connection it would, as services ignore SIGPIPE: a script of a package that says
# a word to a connection that is gone fails.
log=/run/homelab/patch.log
if systemctl is-active --quiet homelab-patch.service; then
  echo "E: an upgrade is still running on this host, as homelab-patch.service" >&2
  exit 1
fi
(umask 077; mkdir -p /run/homelab; rm -f "$log"; : >"$log")
systemd-run --quiet --wait --collect --unit=homelab-patch \
  -p "StandardOutput=file:$log" -p StandardError=inherit /bin/sh -c "$upgrade"
rc=$?
cat "$log"
exit "$rc"
