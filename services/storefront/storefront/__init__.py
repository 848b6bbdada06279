"""The storefront: order details in one call, the page that lists the products, and the reference of all interfaces.

It owns nothing and keeps nothing. It only joins what the others answer, and goes on with what is left when one of them
does not.
"""
