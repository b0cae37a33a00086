"""A UPS as the inventory describes it: NUT's words, only what they can be."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from homelab.model.names import Tuple
from homelab.model.problems import did_you_mean
from homelab.model.strict import Strict, refuse, shown, words

# What Debian's packages of NUT 2.8 have; those after the first are in packages of their own.
_DRIVERS = words(
    """
    usbhid-ups al175 apcsmart apcsmart-old apcupsd-ups apc_modbus bcmxcp bcmxcp_usb belkin belkinunv bestfcom
    bestfortress bestuferrups bestups bicker_ser blazer_ser blazer_usb clone dummy-ups etapro everups gamatronic
    genericups huawei-ups2000 isbmex ivtscd liebert liebert-esp2 masterguard metasys mge-shut mge-utalk microdowell
    microsol-apc nutdrv_atcl_usb nutdrv_qx nutdrv_siemens-sitop oneac optiups powercom powerpanel rhino richcomm_usb
    riello_ser riello_usb safenet snmp-ups solis tripplite tripplite_usb tripplitesu upscode2 victronups netxml-ups
    nut-ipmipsu powerman-pdu generic_modbus phoenixcontact_modbus
    """
)
# Written by the toolkit itself.
_OWN = ("driver", "port", "desc")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
# Inside quotes in ups.conf; NUT reads a backslash there.
_VALUE = re.compile(r'[^"\\\x00-\x1f\x7f]{1,200}')
_PORT = re.compile(r"[A-Za-z0-9/\[][A-Za-z0-9/._:@\]+-]{0,200}")


def ups_driver(value: object) -> str:
    """The name of a driver of NUT."""
    remedy = 'write one as https://networkupstools.org/stable-hcl.html names it, "usbhid-ups" for most with USB'
    if isinstance(value, str) and value in _DRIVERS:
        return value
    found = f"{shown(value)} is not a driver of NUT"
    raise refuse(found, did_you_mean(value, _DRIVERS, remedy) if isinstance(value, str) else remedy)


def ups_port(value: object) -> str:
    """Where the UPS is: ``"auto"`` on USB, ``"/dev/ttyS0"``, or the address of one on the network."""
    if isinstance(value, str) and _PORT.fullmatch(value):
        return value
    raise refuse(f"{shown(value)} is not a port", 'write "auto" for USB, "/dev/ttyS0", or its address')


def ups_option(key: object) -> str:
    """A further key of NUT's ups.conf."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise refuse(f"{shown(key)} is no key of ups.conf", 'write what ups.conf(5) has, {"vendorid": "051d"}')
    if key in _OWN:
        raise refuse("is the toolkit's own", "write driver and port beside options")
    return key


def ups_value(value: object) -> object:
    """What a key of ups.conf has: a word, a number, True for a flag. Never echoed, as some are secret."""
    if value is True or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    if isinstance(value, str) and _VALUE.fullmatch(value):
        return value
    raise refuse("its value cannot be written to ups.conf", "write a string without quotes, or True")


Options = dict[Annotated[str, BeforeValidator(ups_option)], Annotated[str | int | bool, BeforeValidator(ups_value)]]


class Ups(Strict):
    """An uninterruptible power supply at a NAS, in NUT's words.

    ``nodes`` go down with the NAS when the battery is low, before it: hosts of the inventory, or all K3s nodes where
    nothing is said. The NAS waits ``wait`` seconds for them at most.
    """

    driver: Annotated[str, BeforeValidator(ups_driver)] = "usbhid-ups"
    port: Annotated[str, BeforeValidator(ups_port)] = "auto"
    options: Options = Field(default_factory=dict)
    nodes: Annotated[tuple[str, ...] | None, Tuple] = None
    wait: Annotated[int, Field(ge=0, le=600)] = 60
