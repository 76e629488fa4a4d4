"""Network address translation between the tunnel and one outside address."""
