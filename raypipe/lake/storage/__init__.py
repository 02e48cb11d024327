"""Bytes at paths below the lake's root."""
