"""Where the user sees what the broker has to say."""
