"""Variables that Kubernetes sets in every container for every service of its namespace, for links of old.

A service that is called ``churn`` brings ``CHURN_PORT=tcp://10.0.0.1:8000``, ``CHURN_SERVICE_HOST`` and more, which look like misspelt
settings. Belongs here: which they are. Does not belong here: the settings.
"""

import ipaddress
import re
from collections.abc import Mapping

_OWN = re.compile(r"_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?")
"""What follows the name of a service."""

_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def kubernetes_variables(environment: Mapping[str, str]) -> frozenset[str]:
    """The names of the variables that Kubernetes has set.

    Each service has two variables whose values only Kubernetes writes: an address like ``tcp://10.0.0.1:8000``, and the service's own IP
    address. The others count by their names, if their service has one of those.

    Args:
        environment: all variables.
    """
    services = {
        name.removesuffix(end)
        for name, value in environment.items()
        for end, is_kubernetes in (("_PORT", _is_link), ("_SERVICE_HOST", _is_service_address))
        if name.endswith(end) and is_kubernetes(value)
    }
    return frozenset(
        name
        for name in environment
        for service in services
        if name.startswith(service) and _OWN.fullmatch(name, len(service))
    )


def _is_link(value: str) -> bool:
    return _LINK.fullmatch(value) is not None


def _is_service_address(value: str) -> bool:
    """Whether a value is the address of a service, and not one that somebody would listen on."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_loopback)
