"""The commands that a guest's user has for other domains; thin programs in /usr/bin call them."""
