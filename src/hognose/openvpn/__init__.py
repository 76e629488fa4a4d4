"""The OpenVPN session engine: records in, records out."""
