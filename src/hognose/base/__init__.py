"""Small mechanisms that every floor above may use."""
