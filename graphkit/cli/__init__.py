"""The command line. Only this room knows Hydra, and only `graphkit.cli.compose` imports it."""
