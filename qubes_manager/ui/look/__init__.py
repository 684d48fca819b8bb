"""Icons and colours."""
