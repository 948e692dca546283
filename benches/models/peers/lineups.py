"""The case's lineups by pydfs-lineup-optimizer, its points unrounded."""
import json
import sys
import time

from pydfs_lineup_optimizer import Player, Site, Sport, get_optimizer

case = json.load(sys.stdin)
optimizer = get_optimizer(Site.DRAFTKINGS, Sport.NASCAR)
optimizer.player_pool.load_players([
    Player(p["id"], p["id"], "x", ["D"], p["team"], p["salary"], p["value"], min_exposure=p["min"])
    for p in case["players"]
])
value, lineups, error = 0.0, 0, None
start = time.perf_counter()
try:
    for lineup in optimizer.optimize(n=case["count"], max_exposure=case["max"]):
        value += sum(player.fppg for player in lineup.players)
        lineups += 1
except Exception as exception:  # It says so by its own kinds of errors.
    error = f"{type(exception).__name__}: {exception}".strip()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "lineups": lineups, "value": value if error is None else None, "error": error}))
