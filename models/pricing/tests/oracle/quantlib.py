"""Prices the trades of a file with QuantLib: what Daybook's model is compared with."""
import json
import sys

import QuantLib as ql

data = json.load(open(sys.argv[1]))
ql.IborCoupon.createIndexedCoupons()


def day(text):
    return ql.DateParser.parseISO(text)


today = day(data["as_of"])
ql.Settings.instance().evaluationDate = today
a365 = ql.Actual365Fixed()
target = ql.TARGET()


def curve(nodes):
    dates = [today] + [day(node["date"]) for node in nodes]
    rates = [nodes[0]["value"]] + [node["value"] for node in nodes]
    made = ql.ZeroCurve(dates, rates, a365, ql.NullCalendar(), ql.Linear(), ql.Continuous)
    made.enableExtrapolation()
    return ql.YieldTermStructureHandle(made)


eur, usd, euribor = (curve(data["curves"][name]) for name in ("EUR-OIS", "USD-OIS", "EUR-EURIBOR-6M"))
index = ql.Euribor6M(euribor)
overnight = ql.Estr(eur)
thirty = ql.Thirty360(ql.Thirty360.BondBasis)
counts = {
    "30/360": thirty,
    "ACT/360": ql.Actual360(),
    "ACT/365F": a365,
    "ACT/ACT ICMA": ql.ActualActual(ql.ActualActual.ISMA),
    "ACT/ACT ISDA": ql.ActualActual(ql.ActualActual.ISDA),
    "30E/360": ql.Thirty360(ql.Thirty360.EurobondBasis),
}
periods = {"3M": 3, "6M": 6, "12M": 12, "1Y": 12}
frequency = {3: ql.Quarterly, 6: ql.Semiannual, 12: ql.Annual}


def schedule(leg, convention=ql.ModifiedFollowing, calendar=target):
    tenor = ql.Period(periods[leg["frequency"]], ql.Months)
    rule = ql.DateGeneration.Backward
    return ql.Schedule(day(leg["start"]), day(leg["end"]), tenor, calendar, convention, convention, rule, False)


def swap(terms):
    fixed, floating = terms["legs"]
    kind = ql.Swap.Payer if fixed["side"] == "pay" else ql.Swap.Receiver
    if floating["type"] == "overnight":
        made = ql.OvernightIndexedSwap(
            kind, fixed["notional"], schedule(fixed), fixed["rate"], counts[fixed["day_count"]], overnight,
            floating["spread"], 2, ql.ModifiedFollowing, target)
    else:
        made = ql.VanillaSwap(
            kind, fixed["notional"], schedule(fixed), fixed["rate"], counts[fixed["day_count"]],
            schedule(floating), index, floating["spread"], counts["ACT/360"])
    made.setPricingEngine(ql.DiscountingSwapEngine(eur))
    return {"PV": made.NPV(), "PAR_RATE": made.fairRate()}


def measures(bond, terms):
    months = periods[terms["frequency"]]
    count = counts[terms["day_count"]]
    each = frequency[months]
    face = terms["face"] / 100.0
    settlement = bond.settlementDate()
    clean = terms["market_clean_price"]
    price = ql.BondPrice(clean, ql.BondPrice.Clean)
    rate = bond.bondYield(price, count, ql.Compounded, each, settlement, 1e-14, 1000)
    at = ql.InterestRate(rate, count, ql.Compounded, each)
    return {
        "PV": bond.NPV() * face,
        "CLEAN_PRICE": bond.cleanPrice(),
        "ACCRUED_INTEREST": bond.accruedAmount(settlement) * face,
        "YIELD": rate,
        "MACAULAY_DURATION": ql.BondFunctions.duration(bond, at, ql.Duration.Macaulay, settlement),
        "MODIFIED_DURATION": ql.BondFunctions.duration(bond, at, ql.Duration.Modified, settlement),
        "CONVEXITY": ql.BondFunctions.convexity(bond, at, settlement),
    }


def dates(terms):
    return schedule({**terms, "end": terms["maturity"]}, ql.Unadjusted)


def fixed_bond(terms):
    count = counts[terms["day_count"]]
    made = ql.FixedRateBond(
        terms["settlement_days"], 100.0, dates(terms), [terms["coupon"]], count, ql.Following, 100.0,
        day(terms["start"]))
    made.setPricingEngine(ql.DiscountingBondEngine(eur))
    return measures(made, terms)


def callable_bond(terms):
    count = counts[terms["day_count"]]
    rights = ql.CallabilitySchedule()
    for name, kind in (("calls", ql.Callability.Call), ("puts", ql.Callability.Put)):
        for right in terms.get(name, []):
            rights.append(ql.Callability(ql.BondPrice(right["price"], ql.BondPrice.Clean), kind, day(right["date"])))
    plan = schedule({**terms, "end": terms["maturity"]}, ql.Unadjusted, ql.NullCalendar())
    made = ql.CallableFixedRateBond(
        0, 100.0, plan, [terms["coupon"]], count, ql.Unadjusted, 100.0, day(terms["start"]), rights)
    made.setPricingEngine(ql.TreeCallableFixedRateBondEngine(
        ql.HullWhite(eur, terms["mean_reversion"], terms["volatility"]), 120))
    spread = made.OAS(terms["market_clean_price"], eur, a365, ql.Continuous, ql.Annual, today, 1e-14, 1000)
    up, now, down = (made.cleanPriceOAS(spread + size, eur, a365, ql.Continuous, ql.Annual, today)
                     for size in (0.0025, 0.0, -0.0025))
    dirty = now + made.accruedAmount(today)
    return {"PV": made.NPV() * terms["face"] / 100.0, "CLEAN_PRICE": made.cleanPrice(), "OAS": spread,
            "EFFECTIVE_DURATION": (down - up) / (2 * 0.0025 * dirty)}


def floating_bond(terms):
    made = ql.FloatingRateBond(
        terms["settlement_days"], 100.0, dates(terms), index, ql.Actual360(), ql.Following, 2, [1.0],
        [terms["spread"]], [], [], False, 100.0, day(terms["start"]))
    made.setPricingEngine(ql.DiscountingBondEngine(eur))
    return {"PV": made.NPV() * terms["face"] / 100.0, "CLEAN_PRICE": made.cleanPrice()}


def zero_bond(terms):
    made = ql.ZeroCouponBond(0, target, 100.0, day(terms["maturity"]), ql.Following, 100.0, today)
    made.setPricingEngine(ql.DiscountingBondEngine(eur))
    return {"PV": made.NPV() * terms["face"] / 100.0}


def option(terms):
    spot = ql.QuoteHandle(ql.SimpleQuote(data["eurusd"]))
    flat = ql.BlackConstantVol(today, target, data["volatility"], a365)
    process = ql.GarmanKohlagenProcess(spot, eur, usd, ql.BlackVolTermStructureHandle(flat))
    kind = ql.Option.Call if terms["option"] == "call" else ql.Option.Put
    made = ql.VanillaOption(ql.PlainVanillaPayoff(kind, terms["strike"]), ql.EuropeanExercise(day(terms["expiry"])))
    made.setPricingEngine(ql.AnalyticEuropeanEngine(process))
    amount = terms["amount"]
    return {"PV": made.NPV() * amount, "DELTA": made.delta() * amount, "GAMMA": made.gamma() * amount,
            "VEGA": made.vega() * amount * 0.01}


def fra(terms):
    side = ql.Position.Long if terms["side"] == "pay" else ql.Position.Short
    made = ql.ForwardRateAgreement(
        index, day(terms["start"]), day(terms["end"]), side, terms["rate"], terms["notional"], eur)
    return {"PV": made.NPV(), "PAR_RATE": made.forwardRate().rate()}


def forward(terms):
    date = day(terms["date"])
    value = terms["amount"] * (data["eurusd"] * eur.discount(date) - terms["rate"] * usd.discount(date))
    return {"PV": value, "PAR_RATE": data["eurusd"] * eur.discount(date) / usd.discount(date)}


hazards = data["hazards"]


def credit():
    """Hazard rates between nodes, of survival that is told as continuous rates."""
    dates = [today] + [day(node["date"]) for node in hazards]
    totals = [0.0] + [node["value"] * a365.yearFraction(today, day(node["date"])) for node in hazards]
    steps = [(totals[i] - totals[i - 1]) / a365.yearFraction(dates[i - 1], dates[i]) for i in range(1, len(dates))]
    made = ql.HazardRateCurve(dates, steps[:1] + steps, a365)
    made.enableExtrapolation()
    return ql.DefaultProbabilityTermStructureHandle(made)


def cds(terms):
    kind = ql.Protection.Buyer if terms["protection"] == "buy" else ql.Protection.Seller
    count, notional, spread = ql.Actual360(), terms["notional"], terms["spread"]
    plan = ql.Schedule(
        today, day(terms["maturity"]), ql.Period(3, ql.Months), ql.WeekendsOnly(), ql.Following, ql.Unadjusted,
        ql.DateGeneration.CDS2015, False)
    made = ql.CreditDefaultSwap(
        kind, notional, spread, plan, ql.Following, count, True, True, today, ql.FaceValueClaim(),
        ql.Actual360(True), False)
    made.setPricingEngine(ql.MidPointCdsEngine(credit(), terms["recovery"], eur))
    accrued = notional * count.yearFraction(plan[0], today + 1)
    annuity = abs(made.couponLegNPV()) / spread - accrued
    sign = -1.0 if terms["protection"] == "buy" else 1.0
    return {"PV": made.NPV(), "PAR_RATE": abs(made.defaultLegNPV()) / annuity, "ACCRUED_INTEREST": sign * spread * accrued}


pricers = {"SWAP": swap, "OIS": swap, "FIXED_BOND": fixed_bond, "FLOATING_RATE": floating_bond,
           "ZERO_BOND": zero_bond, "FX_OPTION": option, "FRA": fra, "FX_FWD": forward,
           "CALLABLE_BOND": callable_bond, "PUTABLE_BOND": callable_bond, "CDS": cds}
answers = {trade["position_id"]: pricers[trade["product_type"]](trade["terms"]) for trade in data["trades"]}
print(json.dumps({"version": ql.__version__, "values": answers}))
