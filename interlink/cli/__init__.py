"""The ``interlink`` command: one subcommand for each service, and those that help to run them."""
