"""Frame devices: the only readers and writers of frames."""
