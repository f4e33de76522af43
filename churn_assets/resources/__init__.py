"""The resources of assets: the tracking server, the serving database, the service as a process."""
