"""Events: written to the journal with the change, relayed to the broker, consumed once by each group."""
