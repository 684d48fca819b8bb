"""The services that other domains, and the host, may ask of this one."""
