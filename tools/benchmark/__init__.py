"""How fast this is, beside a plain formulation and the machine's limit."""
