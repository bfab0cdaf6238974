"""Which hosts are this machine itself: what is sent there does not leave it."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Tell whether a host, as a URL names it, is always this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
