"""What a guest's windows may be on the host's screen: pure judges of typed packets.

A guest is hostile. What reaches the windows of the host has been admitted here, and whatever the user, the window
manager or a screen does to them is judged again.
"""
