"""HTTP for the threaded services: server, client, errors and request ids, on TCP and unix sockets."""
