"""Another disk in the place of one that dies or has died.

HOMELAB_ENV=home pyinfra inventory deploys/day2/replace_disk.py --data disk=NAME --data with=NEW
"""

from pyinfra import host

from homelab.operations.day2 import arguments
from homelab.operations.replacement import task
from homelab.operations.storage import carried_out, told
from homelab.operations.survey import survey
from homelab.storage.replace import USAGE

given = arguments(("disk", "with"), ("consent", "without"), USAGE)
site = survey()
mine = task(site, given)

if site.me.name == mine.host and site.first("replace_disk"):
    for step in host.loop(mine.replacement.steps):
        carried_out(name=f"{step.says} ({step.kind})", step=step)
    told(name="Say what to write in the inventory", lines=mine.replacement.told)
