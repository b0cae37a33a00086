"""Security upgrades that install themselves and never reboot."""

from homelab.files import ManagedFile

# Read after 20auto-upgrades and 50unattended-upgrades, which stay as their package has them; the last word wins.
PATH = "/etc/apt/apt.conf.d/90homelab"
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")

CONF = ManagedFile(
    PATH,
    """\
// homelab: which upgrades is said in 50unattended-upgrades, where the distribution lists its security archive
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
// A cluster's servers must not reboot together, so none does by itself.
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Automatic-Reboot-WithUsers "false";
""",
    check='apt-config -c "$new" dump >/dev/null',
)
