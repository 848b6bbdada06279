"""The embedded form of the system: real servers from their wheels, on loopback, under one supervisor.

It owns the layout of a data folder and the start of each server. It never holds a rule of the shop.
"""
