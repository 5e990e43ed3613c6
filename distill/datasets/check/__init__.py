"""Every record of a data set checked: what is bad, doubled or missing."""
