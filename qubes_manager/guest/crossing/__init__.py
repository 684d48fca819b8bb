"""The guest's part of what crosses between domains: its service program, and how its commands call services."""
