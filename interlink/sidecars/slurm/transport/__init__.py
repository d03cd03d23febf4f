"""Where the site's files and commands are: on this host, or behind ssh or sudo, by one interface (``host.Host``)."""
