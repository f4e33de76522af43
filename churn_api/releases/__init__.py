"""The release that serves: followed from the database, verified, swapped in and shown."""
