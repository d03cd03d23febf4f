"""A thin client of kube-apiserver: raw JSON over aiohttp, errors typed by what to do, no client models."""
