"""The notifications service: it writes mails about events and sends them.

It owns the templates, the messages, and a copy of each user's address and preferences. It decides nothing about
orders or money.
"""
