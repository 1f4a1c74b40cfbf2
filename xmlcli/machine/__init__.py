"""Threads, devices and memory of the machine."""
