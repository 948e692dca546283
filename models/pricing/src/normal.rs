//! The normal distribution, and Black's formula.

/// Density.
pub fn density(x: f64) -> f64 {
    const ROOT: f64 = 0.398_942_280_401_432_7;
    ROOT * (-0.5 * x * x).exp()
}

/// Cumulative probability, after Hart (1968) as given by West, *Better
/// Approximations to Cumulative Normal Functions* (2005): about 1e-15.
pub fn cumulative(x: f64) -> f64 {
    let z = x.abs();
    if x.is_nan() {
        return x;
    }
    let tail = if z > 37.0 {
        0.0
    } else {
        let exponential = (-z * z / 2.0).exp();
        if z < 7.071_067_811_865_47 {
            exponential * poly(&UPPER, z) / poly(&LOWER, z)
        } else {
            let fraction = z + 1.0 / (z + 2.0 / (z + 3.0 / (z + 4.0 / (z + 0.65))));
            exponential / fraction / 2.506_628_274_631
        }
    };
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// Where the cumulative probability is `p`: Newton's method between bounds that
/// close in. `NaN` outside 0 to 1.
pub fn quantile(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    let (mut low, mut high, mut x) = (-38.0, 38.0, 0.0);
    for _ in 0..200 {
        let gap = cumulative(x) - p;
        if gap > 0.0 {
            high = x
        } else {
            low = x
        }
        let step = x - gap / density(x);
        let next = if step > low && step < high { step } else { 0.5 * (low + high) };
        if (next - x).abs() <= 1e-15 * x.abs().max(1.0) {
            return next;
        }
        x = next;
    }
    x
}

const UPPER: [f64; 7] = [
    0.035_262_496_599_891_1,
    0.700_383_064_443_688,
    6.373_962_203_531_65,
    33.912_866_078_383,
    112.079_291_497_871,
    221.213_596_169_931,
    220.206_867_912_376,
];
const LOWER: [f64; 8] = [
    0.088_388_347_648_318_4,
    1.755_667_163_182_64,
    16.064_177_579_207,
    86.780_732_202_946_1,
    296.564_248_779_674,
    637.333_633_378_831,
    793.826_512_519_948,
    440.413_735_824_752,
];

fn poly(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// An option by Black's formula, per unit and not discounted, with its
/// derivatives by the forward and the volatility.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Black {
    /// E[max(φ(F − K), 0)].
    pub value: f64,
    /// By the forward.
    pub delta: f64,
    /// Twice by the forward.
    pub gamma: f64,
    /// By the volatility.
    pub vega: f64,
}

/// `phi` is 1 for a call and −1 for a put, `deviation` σ√t. Without any
/// deviation what exercise is worth.
pub fn black(phi: f64, forward: f64, strike: f64, deviation: f64, root_t: f64) -> Black {
    if deviation <= 0.0 {
        let value = (phi * (forward - strike)).max(0.0);
        let delta = if value > 0.0 { phi } else { 0.0 };
        return Black { value, delta, gamma: 0.0, vega: 0.0 };
    }
    let d1 = (forward / strike).ln() / deviation + 0.5 * deviation;
    let d2 = d1 - deviation;
    let delta = phi * cumulative(phi * d1);
    Black {
        value: (forward * delta - strike * phi * cumulative(phi * d2)).max(0.0),
        delta,
        gamma: density(d1) / (forward * deviation),
        vega: forward * density(d1) * root_t,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_known_to_many_places() {
        for (x, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-2.0, 0.022_750_131_948_179_21),
            (-6.0, 9.865_876_450_376_98e-10),
        ] {
            assert!((cumulative(x) - p).abs() < 1e-15, "{x}");
        }
        assert!((cumulative(-8.0) - 6.220_960_574_271_78e-16).abs() < 1e-21);
        assert_eq!(cumulative(-40.0), 0.0);
        assert!(cumulative(f64::NAN).is_nan());
    }
}
