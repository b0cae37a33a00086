"""What runs on the cluster, as the inventory's `charts` list it: `pyinfra inventory deploys/charts.py`."""

from pyinfra import host

from homelab.operations import charts
from homelab.operations.survey import survey

site = survey()
made = charts.charts(site)

# All of it is asked of the API from the control machine; one host carries it.
if site.me == made.first:
    for gone in host.loop(made.gone):
        charts.uninstalled(name=f"Uninstall {gone.name}, which is no longer listed", charts=made, gone=gone)
    for wanted in host.loop(made.wanted):
        charts.applied(name=f"Apply {wanted.name}: {wanted.said}", charts=made, wanted=wanted)
    charts.up(name="Wait for the releases", charts=made)
    for wanted in host.loop(made.readers):
        charts.handed_out(
            name=f"Hand out the kubeconfig {made.reader_file(wanted.name)}",
            charts=made,
            wanted=wanted,
        )
