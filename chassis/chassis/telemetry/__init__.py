"""Logs, metrics and traces, which share the correlation id and the trace id."""
