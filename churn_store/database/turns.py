"""Writers who take turns, so that the newest version is the one that was received last."""

import sqlalchemy as sa


def take_turns(connection: sa.Connection, lock: int) -> None:
    """Begin a transaction that no other writer with this lock has at the same time; on SQLite it is synced to the disk.

    Args:
        connection: connection without a transaction.
        lock: number of the lock, known to all writers of these rows.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA synchronous=FULL")  # of this connection, which ends with the transaction
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock})
