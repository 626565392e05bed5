"""Pieces that every other package builds on: arguments, arrays, images, payloads, ids, devices, progress."""
