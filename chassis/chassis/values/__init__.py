"""Values that need the same rules everywhere: money, e-mail addresses and text that people see."""
