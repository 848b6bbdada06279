"""Carts, orders and the checkout saga: buy, cancel, history.

It owns what was ordered, by whom, and how far it got. It never keeps stock, prices or money: it asks catalog and
payments, step by step, and remembers what they answered.
"""
