"""Files that are copied, or opened in a disposable."""
