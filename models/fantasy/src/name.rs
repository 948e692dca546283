//! Names of drivers as different sources write them.

/// The key that a driver is known by across sources: lower case, without
/// accents, punctuation, suffixes (`Jr.`, `III`) and marks such as `(i)` for a
/// driver who takes no points or `#` for a rookie.
///
/// ```
/// use models_fantasy::name::key;
/// assert_eq!(key("Daniel Suárez"), key("Daniel Suarez"));
/// assert_eq!(key("A.J. Allmendinger(i)"), "aj-allmendinger");
/// assert_eq!(key("Ricky Stenhouse Jr."), key("Ricky Stenhouse, Jr"));
/// ```
pub fn key(name: &str) -> String {
    let name = name.split('(').next().unwrap_or_default();
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => text.push(c.to_ascii_lowercase()),
            c if c.is_whitespace() || c == '-' => text.push(' '),
            c if c.is_ascii() => {}
            c => text.push_str(plain(c)),
        }
    }
    let words = text.split_whitespace();
    let kept: Vec<&str> = words.filter(|w| !matches!(*w, "jr" | "sr" | "ii" | "iii" | "iv")).collect();
    kept.join("-")
}

/// A Latin letter without its accent; other letters have none in a key.
fn plain(c: char) -> &'static str {
    const PLAIN: &[(&str, &str)] = &[
        ("áàâäãåāăąÁÀÂÄÃÅĀĂĄ", "a"),
        ("çćčÇĆČ", "c"),
        ("ďđðĎĐÐ", "d"),
        ("éèêëēęěÉÈÊËĒĘĚ", "e"),
        ("ğĞ", "g"),
        ("íìîïīıÍÌÎÏĪİ", "i"),
        ("łĺľŁĹĽ", "l"),
        ("ñńňÑŃŇ", "n"),
        ("óòôöõøōőÓÒÔÖÕØŌŐ", "o"),
        ("řŕŘŔ", "r"),
        ("śšşŚŠŞ", "s"),
        ("ťţŤŢ", "t"),
        ("úùûüūůűÚÙÛÜŪŮŰ", "u"),
        ("ýÿÝŸ", "y"),
        ("źżžŹŻŽ", "z"),
        ("æÆ", "ae"),
        ("œŒ", "oe"),
        ("ßẞ", "ss"),
    ];
    PLAIN.iter().find(|(accented, _)| accented.contains(c)).map_or("", |(_, plain)| plain)
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn spellings_of_one_driver_agree() {
        for (a, b) in [
            ("BJ McLeod", "B.J. McLeod"),
            ("Shane Van Gisbergen", "Shane van Gisbergen"),
            ("Martin Truex Jr", "Martin Truex, Jr."),
            ("John Hunter Nemechek", "John-Hunter Nemechek"),
            ("Kimi Räikkönen", "Kimi Raikkonen"),
            ("Harrison Burton #", "Harrison Burton"),
        ] {
            assert_eq!(key(a), key(b));
        }
        assert_ne!(key("Kyle Busch"), key("Kurt Busch"));
        assert_eq!(key("(i)"), "");
    }
}
