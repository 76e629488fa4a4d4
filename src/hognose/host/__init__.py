"""The machine: clock, entropy, poll loop, boot, console."""
