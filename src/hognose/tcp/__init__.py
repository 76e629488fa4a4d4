"""A server-side TCP: pure, clock-injected, batch in, batch out."""
