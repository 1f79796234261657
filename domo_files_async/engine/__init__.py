"""Moves bytes: sources, buffers, uploads and downloads."""
