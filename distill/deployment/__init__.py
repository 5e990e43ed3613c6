"""Deployment: a trained network as something other programs run."""
