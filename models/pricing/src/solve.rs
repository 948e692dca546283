//! Roots of functions of one number.

/// Where a function is zero between two numbers that it has different signs at:
/// bisection, and regula falsi (Illinois) where that is faster.
pub fn root(mut low: f64, mut high: f64, f: impl Fn(f64) -> f64) -> Option<f64> {
    let (mut at_low, mut at_high) = (f(low), f(high));
    if at_low == 0.0 {
        return Some(low);
    }
    if at_high == 0.0 {
        return Some(high);
    }
    // Overflow at an end is only large.
    if at_low.is_nan() || at_high.is_nan() || at_low.signum() == at_high.signum() {
        return None;
    }
    let mut side = 0;
    for step in 0..300 {
        let secant = (low * at_high - high * at_low) / (at_high - at_low);
        let inside = secant.is_finite() && secant > low && secant < high && step % 3 != 2;
        let middle = if inside { secant } else { low + 0.5 * (high - low) };
        let value = f(middle);
        if value == 0.0
            || high - low <= f64::EPSILON * (low.abs() + high.abs() + 1e-12)
            || middle == low
            || middle == high
        {
            return Some(middle);
        }
        if value.signum() == at_low.signum() {
            (low, at_low) = (middle, value);
            if side == 1 {
                at_high *= 0.5;
            }
            side = 1;
        } else {
            (high, at_high) = (middle, value);
            if side == -1 {
                at_low *= 0.5;
            }
            side = -1;
        }
    }
    Some(low + 0.5 * (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_found_to_the_last_digits() {
        assert!((root(0.0, 2.0, |x| x * x - 2.0).unwrap() - 2.0_f64.sqrt()).abs() < 1e-15);
        assert!((root(-5.0, 50.0, |x| (x - 1e-9).powi(3)).unwrap() - 1e-9).abs() < 1e-6);
        assert_eq!(root(0.0, 1.0, |x| x + 1.0), None);
        assert_eq!(root(0.0, 1.0, |x| x), Some(0.0));
    }
}
