"""SQLite files that several processes share, from their first moment on."""

import sqlite3
from pathlib import Path

from filelock import FileLock


def opened(path: Path, schema: str, patience: float) -> sqlite3.Connection:
    """A connection in autocommit to the file, which is made with its schema where it is new.

    Waits `patience` seconds for other processes. Raises sqlite3.Error or OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite does not wait when two processes change a new file to WAL at once: one fails
    with FileLock(path.with_name(path.name + ".lock"), timeout=patience):
        db = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")  # a crash of the machine may lose the latest
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                db.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = 1; COMMIT;")
        except sqlite3.Error:
            db.close()
            raise
    return db
