"""The coordinator: looks at what exists and queues what is missing. Control side, no torch."""
