"""All that knows Prefect: flows, schedules, the embedded server, settings."""
