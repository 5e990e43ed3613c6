"""Devices, worker processes and their rendezvous."""
