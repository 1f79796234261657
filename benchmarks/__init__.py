"""What the transfers cost beside the machine's limit and beside other clients."""
