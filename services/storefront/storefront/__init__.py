"""The storefront: order details in one call, the page that lists the products, and the reference of all interfaces.

It stores nothing. It joins the answers of the other services, and answers with the rest when one of them is missing.
"""
