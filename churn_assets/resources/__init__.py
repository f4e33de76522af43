"""What assets work with: the lake, the tracking server, the serving database."""
