"""Checks of artifacts before they are loaded, one module for each format.

An artifact is of unknown origin. A SavedModel is a program; `.keras`, ONNX and
LiteRT files are graphs and numbers, whose sizes may be anything. Each module
allows what the exports of the models hold and refuses all else.
"""
