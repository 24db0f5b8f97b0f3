"""What services stand on: the event log, the bus, expressions, telemetry, embedded servers. Knows no service."""
