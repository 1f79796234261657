"""The API on the wire, in both directions; pure: no clock, no socket, no loop."""
