"""Threads, devices and memory of this machine."""
