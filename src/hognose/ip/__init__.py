"""IPv4 engines: neighbours, reassembly, ICMP errors, software offload."""
