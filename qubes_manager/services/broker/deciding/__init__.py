"""Whether something may cross: the policy, the user, and the log of it."""
