"""`cartwright verify`: checks the promises on the data itself, through logins that can only read.

It owns the rules by which data keeps a promise or breaks it. It never changes anything, never asks a service (a
service could be wrong about itself), and never holds more than a page of rows, however many orders there are.
"""
