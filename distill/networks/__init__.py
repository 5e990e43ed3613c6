"""Networks: a model with its frame budget; loading; ensembles."""
