"""Speed beside plain formulations and the machine's limits."""
