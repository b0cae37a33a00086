"""A home to start from: copy it to home.py, and group_data/example.py to group_data/home.py, then fill in.

    cp inventory/example.py inventory/home.py
    cp inventory/group_data/example.py inventory/group_data/home.py
    homelab inventory                             # what is wrong, or what you have described
    pyinfra --dry inventory deploys/k3s.py        # what would be done
    pyinfra inventory deploys/k3s.py              # do it

Both copies are ignored by git. Once there is a home.py it is the inventory that is used; HOMELAB_ENV=sandbox
chooses another for one command.
"""

# A host is its name and its data. The name becomes its hostname and its name as a K3s node.
#
# Give each machine a fixed address (a DHCP reservation will do): a node that changes its address is lost.
# Reach them as a normal user who may use sudo, by key; passwords are never written here.
_ssh = {"ssh_user": "admin", "ssh_key": "~/.ssh/id_ed25519"}

# One, three or five servers. Two are worse than one: the loss of either would stop the cluster.
k3s_servers = [
    ("s1", {"address": "192.168.1.11", "interface": "eno1", **_ssh}),
    ("s2", {"address": "192.168.1.12", "interface": "eno1", **_ssh}),
    # In repair: still listed, still counted for quorum, but not contacted. To be rid of it for good is not
    # supported yet; a line deleted here is refused while the cluster still has the node.
    ("s3", {"address": "192.168.1.13", "interface": "eno1", "away": True, **_ssh}),
]

# Any number of agents: they run pods and hold no vote.
k3s_agents = [
    (
        "a1",
        {
            "address": "192.168.1.21",
            "interface": "eth0",
            # For nodeSelector, and to keep pods away that do not ask for this node.
            "labels": {"disk": "ssd"},
            "taints": ["gpu=yes:NoSchedule"],
            # Native K3s keys, as in its config.yaml, for this host alone.
            "agent_config": {"kubelet-arg": ["max-pods=200"]},
            **_ssh,
        },
    ),
]

# The machine with the disks. It may be a K3s node as well: then list its name in both groups.
nas = [
    (
        "nas",
        {
            "address": "192.168.1.31",
            # Disks by what stays theirs in any port: `ls -l /dev/disk/by-id`, or "serial:" and what is on the label.
            # A disk that holds anything at all is refused; the refusal says how to consent to losing that.
            "disks": {
                "left": {"id": "ata-WDC_WD80EFPX-68C4ZN0_WD-EXAMPLE1"},
                "right": {"id": "ata-WDC_WD80EFPX-68C4ZN0_WD-EXAMPLE2"},
            },
            # Two disks that hold the same, at /srv/family: either may die. btrfs notices and mends rotten data and has
            # snapshots, but wants you there when the machine starts with one disk gone; mdraid starts by itself.
            "pools": {
                "family": {"kind": "btrfs", "level": "raid1", "disks": ["left", "right"]},
            },
            # To send in a disk for repair unread: "encryption": {"key": "file:~/.config/homelab/family-key"} beside
            # "disks", before the pool is made. Keep that key outside the house as well.
            "volumes": {
                "photos": {"pool": "family", "owner": "anna", "quota": "4T"},
            },
            # The same number everywhere, so that a file is Anna's over NFS and SMB alike.
            "users": {
                "anna": {"uid": 2001, "password": "file:~/.config/homelab/anna-smb"},
            },
            # Over SMB for phones and laptops, over NFS for Linux machines; "lan" is one of networks in group_data.
            "shares": {
                "photos": {
                    "volume": "photos",
                    "smb": {"users": ["anna"], "purpose": "multiprotocol"},
                    "nfs": {"clients": ["lan"]},
                },
            },
            # What was deleted by mistake comes back from these (Windows: "Previous versions").
            "snapshots": {"photos": {"hourly": 24, "daily": 14, "monthly": 6}},
            # What burns down with the house comes back from this. Keep its password outside the house as well.
            "backups": {
                "away": {
                    "volumes": ["photos"],
                    "to": "sftp:backup@attic.example.org:/restic/nas",
                    "password": "file:~/.config/homelab/restic",
                    "at": "03:00",
                    "keep": {"daily": 7, "weekly": 5, "monthly": 12},
                },
            },
            # A disk that dies unheard takes its mirror's data along when the second one goes. The topic's name is all
            # that others need to read along: make it one that nobody guesses.
            "alerts": {"ntfy": "https://ntfy.sh/my-nas-change-this"},
            # The UPS has its cable here. With a low battery the nodes go down first, as this machine has their files.
            "ups": {"driver": "usbhid-ups", "nodes": ["s1", "s2", "a1"]},
            **_ssh,
        },
    ),
]
