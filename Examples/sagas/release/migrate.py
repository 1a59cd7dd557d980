"""migrate.py create|up|down|at|check [FAIL]: adds a column for addresses, and removes it."""
import sqlite3
import sys

verb, fail = sys.argv[1], (sys.argv + ["none"])[2]
database = sqlite3.connect("app.db", isolation_level=None)
columns = [row[1] for row in database.execute("PRAGMA table_info(users)")]

if verb == "create":
    database.execute("CREATE TABLE users (name TEXT)")
    database.executemany("INSERT INTO users VALUES (?)", [("ada",), ("grace",)])
elif verb == "up" and "address" not in columns:
    database.execute("BEGIN")
    database.execute("ALTER TABLE users ADD COLUMN address TEXT")
    database.execute("UPDATE users SET address = name || '@example.org'")
    if fail == "migrate":
        sys.exit("the migration is broken")
    database.execute("COMMIT")
elif verb == "down" and "address" in columns:
    database.execute("ALTER TABLE users DROP COLUMN address")
elif verb == "at":
    sys.exit(0 if "address" in columns else 1)
elif verb == "check":
    bad = database.execute("SELECT count(*) FROM users WHERE address NOT LIKE '%@%'").fetchone()[0]
    sys.exit(1 if bad or fail == "check" else 0)
