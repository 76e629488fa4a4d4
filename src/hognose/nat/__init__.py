"""Network address and port translation for one outside address."""
