//! Counts in messages: "1 file", "2 files".

use std::fmt::Display;

/// A count with its noun in the right form.
#[must_use]
pub fn plural(count: impl Into<u64> + Display, one: &str, many: &str) -> String {
    let count = count.into();
    format!("{count} {}", form(count, one, many))
}

/// The noun in the form for a count that is written elsewhere.
#[must_use]
pub fn form<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    match count {
        1 => one,
        _ => many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(plural(0_u32, "copy", "copies"), "0 copies");
        assert_eq!(plural(1_u32, "copy", "copies"), "1 copy");
        assert_eq!(plural(2_u64, "copy", "copies"), "2 copies");
    }
}
