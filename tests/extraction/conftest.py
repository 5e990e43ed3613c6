"""No test of extraction may download anything."""

import socket

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Lets every attempt to reach another machine fail."""

    def refuse(*_):
        raise AssertionError("A download was attempted.")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
