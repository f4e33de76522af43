"""Which release serves: followed from the database, verified, swapped, and shown."""
