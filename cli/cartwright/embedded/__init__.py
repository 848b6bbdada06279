"""The embedded form of the system: real servers from their wheels, on loopback, under one supervisor.

Owns where things lie in a data folder and how each server is started. It never holds a rule of the shop.
"""
