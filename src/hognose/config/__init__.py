"""The OpenVPN configuration language and the config block device."""
