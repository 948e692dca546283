"""Vanilla swaps priced by QuantLib in every scenario."""
import json
import sys
import time

import QuantLib as ql

case = json.load(sys.stdin)
date = lambda parts: ql.Date(parts[2], parts[1], parts[0])
today = date(case["today"])
ql.Settings.instance().evaluationDate = today
ql.IborCoupon.createAtParCoupons()
# Before the first node rates are its own.
calendar, nodes = ql.TARGET(), [today] + [today + days for days in case["days"]]
discounting, projection = ql.RelinkableYieldTermStructureHandle(), ql.RelinkableYieldTermStructureHandle()
index, engine = ql.Euribor6M(projection), ql.DiscountingSwapEngine(discounting)


def schedule(start, end, months):
    following = ql.ModifiedFollowing
    return ql.Schedule(
        start, end, ql.Period(months, ql.Months), calendar, following, following, ql.DateGeneration.Forward, False
    )


def swap(told):
    start = date(told["start"])
    end = ql.NullCalendar().advance(start, told["years"], ql.Years)
    made = ql.VanillaSwap(
        ql.Swap.Payer, case["notional"],
        schedule(start, end, 12), told["rate"], ql.Thirty360(ql.Thirty360.BondBasis),
        schedule(start, end, 6), index, 0.0, index.dayCounter(),
    )
    made.setPricingEngine(engine)
    return made


def curve(zeros, shifts):
    rates = [zero + shift for zero, shift in zip(zeros, shifts)]
    return ql.ZeroCurve(nodes, rates[:1] + rates, ql.Actual365Fixed(), calendar)


swaps = [swap(told) for told in case["swaps"]]
values = []
start = time.perf_counter()
for shifts in case["shifts"]:
    discounting.linkTo(curve(case["zeros"][0], shifts[0]))
    projection.linkTo(curve(case["zeros"][1], shifts[1]))
    values.append([swap.NPV() for swap in swaps])
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "first": values[0], "last": values[-1]}))
