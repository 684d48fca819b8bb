"""Programs that show what guests draw: each runs alone in a sandbox.

They see their own files, the core and their libraries (Qt; for consoles GTK, GtkVnc and VTE), nothing of the user's.
"""
