"""The one place on the client side that speaks HTTP."""
