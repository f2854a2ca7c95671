"""One view for people: pages that are complete without script, live by server-sent events."""
