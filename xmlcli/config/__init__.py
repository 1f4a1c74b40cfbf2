"""Settings: what they mean, and reading them from pipeline files and the command line."""
