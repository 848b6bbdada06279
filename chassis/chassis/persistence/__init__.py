"""PostgreSQL: connections, whole transactions, migrations and what each login may do."""
