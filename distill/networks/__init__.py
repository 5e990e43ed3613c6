"""Networks: a model with the frames it sees; ensembles and cascades."""
