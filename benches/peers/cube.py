"""Value at risk by book and a slice by two dimensions, by DuckDB."""
import json
import sys
import time

import duckdb

case = json.load(sys.stdin)
cells = f"read_parquet('{case['objects']}/**/*.parquet')"
RISK = f"""
WITH sums AS (
  SELECT book, scenario_id, sum(value * to_base) AS value FROM {cells} WHERE measure = 'PV' GROUP BY ALL
), vectors AS (
  SELECT s.book, s.value - b.value AS pnl
  FROM sums s JOIN sums b ON b.book = s.book AND b.scenario_id = 'BASE' WHERE s.scenario_id <> 'BASE'
), ranked AS (
  SELECT book, pnl, row_number() OVER (PARTITION BY book ORDER BY pnl) AS place,
    greatest(1, floor(count(*) OVER (PARTITION BY book) * 0.01 + 1e-9)) AS k
  FROM vectors
)
SELECT book, -max(pnl), -avg(pnl) FROM ranked WHERE place <= k GROUP BY book
"""
SLICE = f"""
SELECT book, product_type, sum(value) FROM {cells}
WHERE measure = 'PV_BASE' AND scenario_id = 'HIST:H0500' GROUP BY ALL
"""


def asked(question):
    connection, took = duckdb.connect(), []
    for _ in range(case["asked"] + 1):
        start = time.perf_counter()
        rows = connection.sql(question).fetchall()
        took.append(time.perf_counter() - start)
    again = sorted(took[1:])
    return took[0], again[len(again) // 2], rows


risk_first, risk, books = asked(RISK)
slice_first, slice_again, sums = asked(SLICE)
print(json.dumps({
    "risk_first": risk_first,
    "risk": risk,
    "slice_first": slice_first,
    "slice": slice_again,
    "books": {book: [var, es] for book, var, es in books},
    "slice_sum": sum(row[2] for row in sums),
}))
