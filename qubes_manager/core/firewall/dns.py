"""Where a domain with a network of its own asks DNS: the only address that is no real one."""

import ipaddress

DNS4 = ipaddress.IPv4Address("10.139.1.1")
DNS6 = ipaddress.IPv6Address("fd51:7562:6573:139::1")
