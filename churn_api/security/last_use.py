"""When each API key was last used, written into ``api_keys`` in batches, off the answer's path.

Belongs here: from the ring's notes to the table. Does not belong here: what counts as a use (``security.key_ring``).
"""

import sqlalchemy as sa

from churn_api.security.key_ring import KeyRing
from churn_store.database.schema import api_keys

MINUTE_S = 60
"""A use is noted to the minute, so that a busy key costs one write a minute."""


class LastUse:
    """Writes the last uses of keys.

    Args:
        engine: the serving database.
        ring: the keys in memory, which note their uses.
    """

    def __init__(self, engine: sa.Engine, ring: KeyRing) -> None:
        self._engine = engine
        self._ring = ring
        self._waiting: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def write(self) -> None:
        """Write what is new since the last call; of several workers the latest use counts.

        Raises:
            SQLAlchemyError: if the database takes nothing now; the uses wait for the next call.
        """
        for key_id, used_s in self._ring.take_used().items():
            self._waiting[key_id] = int(used_s) // MINUTE_S * MINUTE_S
        new = {key_id: used_s for key_id, used_s in self._waiting.items() if self._written.get(key_id) != used_s}
        if new:
            with self._engine.begin() as connection:
                for key_id, used_s in sorted(new.items()):  # in one order, so that two workers never wait for each other
                    is_older = api_keys.c.last_used_s.is_(None) | (api_keys.c.last_used_s < used_s)
                    mine = (api_keys.c.key_id == key_id) & is_older
                    connection.execute(api_keys.update().where(mine).values(last_used_s=used_s))
            self._written |= new
        self._waiting.clear()
