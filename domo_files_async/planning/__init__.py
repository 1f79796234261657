"""What to do next when bytes are moved; pure: no clock, no socket, no loop."""
