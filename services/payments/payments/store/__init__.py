"""All SQL of payments: one module per group of tables."""

from payments.store import deleted_users, ledger, payment_methods, payment_reads, payments, refunds, sandbox

__all__ = ["deleted_users", "ledger", "payment_methods", "payment_reads", "payments", "refunds", "sandbox"]
