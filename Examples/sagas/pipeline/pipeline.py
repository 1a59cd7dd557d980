"""pipeline.py extract -- ROWS | transform SHARD BROKEN | load | verify"""
import csv
import sqlite3
import sys
from pathlib import Path

verb, rest = sys.argv[1], [word for word in sys.argv[2:] if word != "--"]

if verb == "extract":
    Path("raw").mkdir(exist_ok=True)
    for shard in "abc":
        with open(f"raw/{shard}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerows((f"{shard}{number}", number) for number in range(int(rest[0]) // 3))
elif verb == "transform":
    shard, broken = rest
    # Under its name only when it is complete: others may still run when two of them suffice.
    part = Path(f".shard-{shard}.part")
    with open(f"raw/{shard}.csv") as source, part.open("w", newline="") as target:
        rows = csv.writer(target)
        for index, (name, value) in enumerate(csv.reader(source)):
            if broken in (shard, "all") and index == 100:
                sys.exit(f"row {index} of shard {shard} cannot be read")
            rows.writerow((name, int(value) ** 2))
    part.rename(f"shard-{shard}.csv")
elif verb == "load":
    database = sqlite3.connect("warehouse.db")
    database.execute("CREATE TABLE facts (name TEXT PRIMARY KEY, square INTEGER)")
    for file in sorted(Path().glob("shard-*.csv")):
        database.executemany("INSERT INTO facts VALUES (?, ?)", csv.reader(file.open()))
    database.commit()
elif verb == "verify":
    # Looks, and leaves no journal beside the database.
    database = sqlite3.connect("file:warehouse.db?immutable=1", uri=True)
    print(database.execute("SELECT count(*) FROM facts").fetchone()[0])
