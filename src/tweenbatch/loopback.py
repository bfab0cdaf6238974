"""Recognise hosts that are this machine itself: data sent to them does not leave it."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a URL's host is always this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
