"""Composition: one link, its stack, the sessions and the NAT; still pure."""
