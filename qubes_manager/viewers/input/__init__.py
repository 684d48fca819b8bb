"""What the user does over windows, on its way to the guest; and which keys are the host's own."""
