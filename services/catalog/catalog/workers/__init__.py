"""Background work of catalog: the consumer, and the parts that run at the start."""
