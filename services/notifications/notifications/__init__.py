"""The notifications service: who was told what, by mail.

It owns the templates, a copy of each person's address and preferences, and every message. It decides nothing about
orders or money: it tells what the events of others say.
"""
