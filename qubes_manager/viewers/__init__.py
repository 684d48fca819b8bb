"""Programs that show what guests draw: each runs alone, under the system's Python, in a sandbox.

They see their own files, the core and the libraries of the system (GTK, xpra, GtkVnc, VTE), and nothing of the user's.
"""
