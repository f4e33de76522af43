"""What an administrator of the service sees."""
