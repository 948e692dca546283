//! Amounts of money as they leave: rounded once, to the currency's smallest
//! unit, halves to even.

/// Decimal places of a currency (ISO 4217); two unless it is known to differ.
pub fn places(currency: &str) -> usize {
    match currency {
        "JPY" | "KRW" | "VND" | "CLP" | "ISK" | "XAF" | "XOF" | "XPF" | "PYG" | "UGX" => 0,
        "BHD" | "KWD" | "OMR" | "JOD" | "TND" | "IQD" | "LYD" => 3,
        _ => 2,
    }
}

/// The amount as decimal text. Half-way cases are those of the number itself,
/// which binary arithmetic has nearly none of.
pub fn rounded(amount: f64, currency: &str) -> String {
    let text = format!("{amount:.*}", places(currency));
    // Nothing owed has no sign.
    match text.trim_start_matches('-').bytes().all(|b| matches!(b, b'0' | b'.')) {
        true => text.trim_start_matches('-').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_to_the_smallest_unit() {
        assert_eq!(rounded(2609.1074237980843, "USD"), "2609.11");
        assert_eq!(rounded(0.125, "USD"), "0.12");
        assert_eq!(rounded(0.375, "USD"), "0.38");
        assert_eq!(rounded(-0.001, "USD"), "0.00");
        assert_eq!(rounded(1234.5, "JPY"), "1234");
        assert_eq!(rounded(1.0005, "KWD"), "1.000");
    }
}
