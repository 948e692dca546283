#!/usr/bin/env python3
"""Counts the clicks of log files on its own, to compare with `daybook import`.

    scripts/count_clicks.py FILE…

One line a file: distinct GETs and HEADs, repeated lines, heartbeats, other
methods, blank and broken lines, distinct links. JSON lines, tab-separated and
combined log format are told apart line by line.
"""
import gzip
import json
import re
import sys

COMBINED = re.compile(
    rb'\S+ \S+ .+? \[(?P<time>[^\]]+)\] "(?P<method>[A-Za-z-]+) (?P<target>[^"]+?)(?: HTTP/[\d.]+)?" '
    rb'\d+ \S+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"'
)


def kind_of(line):
    """(kind, link) of a line."""
    if line.startswith(b"{"):
        try:
            click = json.loads(line)
        except ValueError:
            return "broken", None
        if "_heartbeat_" in click:
            return "heartbeats", None
        if not isinstance(click.get("t"), int) or not click.get("g"):
            return "broken", None
        return "taps", click["g"]
    if not line.strip() or line.startswith(b"host\tlogname\ttime"):
        return "blank", None
    fields = line.split(b"\t")
    match = COMBINED.match(line)
    if len(fields) >= 7 and fields[2].isdigit() and fields[5].isdigit():
        method, target = fields[3:5]
    elif match:
        method, target = match["method"], match["target"]
    else:
        return "broken", None
    kind = {b"GET": "taps", b"HEAD": "previews"}.get(method, "other_methods")
    return kind, re.split(rb"[?#]", target)[0]


for path in sys.argv[1:]:
    opened = gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")
    counts = dict.fromkeys("lines taps previews duplicates heartbeats other_methods blank broken".split(), 0)
    seen, links = set(), set()
    with opened as lines:
        for line in lines:
            line = line.rstrip(b"\r\n")
            counts["lines"] += 1
            kind, link = kind_of(line)
            if kind in ("taps", "previews"):
                links.add(link)
                if line in seen:
                    kind = "duplicates"
                seen.add(line)
            counts[kind] += 1
    print(path, *(f"{name}={n}" for name, n in counts.items()), f"links={len(links)}")
