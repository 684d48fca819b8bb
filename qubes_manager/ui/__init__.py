"""Windows, dialogs, delegates and actions."""
