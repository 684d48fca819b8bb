"""The user's own files: settings, logs, scratch."""
