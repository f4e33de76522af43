"""Files by digest, object storage, and the online features."""
