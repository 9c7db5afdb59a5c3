//! `Pattern`: a glob over whole keys, compiled once and matched often.
//!
//! The syntax is globset's. globset's own matcher works on the bytes of paths, where `?` is one byte and `[!a]`
//! may match `/`. Keys are text, so globset only parses the glob; the regular expression that it produces is
//! adapted to characters and compiled here, with a bound on its size. A pattern never touches a file system and is
//! only matched against a [`Key`].

use std::sync::Arc;

use globset::GlobBuilder;
use regex::{Regex, RegexBuilder};
use unicode_normalization::UnicodeNormalization;

use crate::key::Key;
use crate::limits;

/// A glob on the key, in Unicode normal form C like keys themselves.
///
/// | written | matches |
/// |---|---|
/// | `*` | any characters within a segment, also none |
/// | `?` | one character, not `/` |
/// | `[a-z]`, `[!a]` | one of these characters, or one not of these; never `/` |
/// | `{a,b}` | either; an empty side is allowed |
/// | `**` as a whole segment | any number of segments, also none: `ada/**/x` matches `ada/x` |
/// | `**` elsewhere | any characters across segments, also none: `ada/**.txt` |
/// | `\*` | a plain `*` |
///
/// Two patterns are equal when their texts are.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Arc<str>,
    prefix_bytes: usize,
    /// Shared, so that clones of a pattern share the lazily built automaton.
    matcher: Arc<Regex>,
}

/// Why a glob was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern: {reason}")]
pub struct PatternError {
    /// The pattern as given; only the beginning if it is long.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Pattern {
    /// Parses and normalises (NFC) a pattern.
    ///
    /// # Errors
    /// [`PatternError`] for a glob that is empty, too long, too complex or does not parse.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let refused = |reason: String| PatternError {
            pattern: beginning(text),
            reason,
        };
        let text = checked(text).map_err(refused)?;
        let glob = GlobBuilder::new(&text)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| refused(error.kind().to_string()))?;
        let expression = over_characters(glob.regex())
            .ok_or_else(|| refused("it is not valid UTF-8".to_owned()))?;
        let matcher = RegexBuilder::new(&expression)
            .dot_matches_new_line(true)
            .size_limit(limits::PATTERN_PROGRAM_BYTES_MAX)
            .dfa_size_limit(limits::PATTERN_PROGRAM_BYTES_MAX)
            .build()
            .map_err(|_| refused("it is too complex: use fewer wildcards".to_owned()))?;
        Ok(Self {
            prefix_bytes: text.find(is_special).unwrap_or(text.len()),
            text: text.into(),
            matcher: Arc::new(matcher),
        })
    }

    /// The normalised text that it was parsed from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole key matches.
    #[must_use]
    pub fn matches(&self, key: &Key) -> bool {
        self.matcher.is_match(key.as_str())
    }

    /// The literal text with which every matching key begins. A scan of sorted keys can be limited to it.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        &self.text[..self.prefix_bytes]
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

/// Whether a character has a special meaning.
const fn is_special(char: char) -> bool {
    matches!(char, '*' | '?' | '[' | '{' | '\\')
}

/// The part of a refused text that an error message repeats.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Normalises the text and checks its bounds. The bound on wildcards keeps nesting shallow and matching linear
/// with a small factor, whatever the pattern.
fn checked(text: &str) -> Result<String, String> {
    let long = |bytes: usize| {
        let max = limits::PATTERN_BYTES_MAX;
        Err(format!("it has {bytes} bytes, at most {max} are allowed"))
    };
    if text.is_empty() {
        return Err("it is empty: use `**` to match every key".to_owned());
    }
    // Normal form C at most triples the length, so a hostile text is refused before it is normalised.
    if text.len() > 3 * limits::PATTERN_BYTES_MAX {
        return long(text.len());
    }
    let text: String = text.nfc().collect();
    if text.len() > limits::PATTERN_BYTES_MAX {
        return long(text.len());
    }
    let wildcards = text.chars().filter(|&char| is_special(char)).count();
    let max = limits::PATTERN_WILDCARDS_MAX;
    if wildcards > max {
        return Err(format!(
            "it has {wildcards} of `*`, `?`, `[`, `{{` and `\\`, at most {max} are allowed"
        ));
    }
    Ok(text)
}

/// Turns globset's expression over bytes into one over characters: runs of `\xHH` become the characters that they
/// encode, a class never matches `/`, and a double star crosses segments wherever it is. `None` when the bytes are
/// not UTF-8, which cannot happen since globset was given text.
fn over_characters(expression: &str) -> Option<String> {
    let expression = expression
        .strip_prefix("(?-u)")?
        .replace("[^/]*[^/]*", ".*");
    let mut out = String::with_capacity(expression.len());
    let mut encoded = Vec::new();
    let mut rest = expression.as_str();
    while let Some(char) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x") {
            encoded.push(u8::from_str_radix(hex.get(..2)?, 16).ok()?);
            rest = &hex[2..];
            continue;
        }
        out.push_str(std::str::from_utf8(&encoded).ok()?);
        encoded.clear();
        let token_bytes = match char {
            '\\' => 1 + rest[1..].chars().next()?.len_utf8(),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(token_bytes);
        match token {
            "[" => out.push_str("[["),
            "]" => out.push_str("]&&[^/]]"),
            plain => out.push_str(plain),
        }
        rest = after;
    }
    out.push_str(std::str::from_utf8(&encoded).ok()?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("it is a pattern")
    }

    fn check(text: &str, matching: &[&str], other: &[&str]) {
        let pattern = pattern(text);
        for (keys, expected) in [(matching, true), (other, false)] {
            for key in keys {
                let key = Key::parse(key).expect("it is a key");
                assert_eq!(pattern.matches(&key), expected, "{text} on {key:?}");
                let begins = key.as_str().starts_with(pattern.literal_prefix());
                assert!(begins || !expected, "the prefix of {text} misses {key:?}");
            }
        }
    }

    #[test]
    fn a_plain_text_matches_itself_alone() {
        check("ada/a.txt", &["ada/a.txt"], &["ada/axtxt", "ada/a.txt2"]);
    }

    #[test]
    fn a_star_stays_within_a_segment() {
        check("ada/*", &["ada/x", "ada/é"], &["ada/x/y", "bob/x"]);
        check("*/x", &["ada/x"], &["ada/b/x"]);
        check("*", &[], &["ada/x"]);
    }

    #[test]
    fn two_stars_cross_segments() {
        check("**", &["ada/x", "ada/b/c"], &[]);
        check("ada/**", &["ada/x", "ada/b/c"], &["adam/x"]);
        check("**/x", &["ada/x", "ada/b/x"], &["ada/xx"]);
        check("ada/**/x", &["ada/x", "ada/b/c/x"], &["ada/bx"]);
    }

    #[test]
    fn two_stars_cross_segments_inside_a_segment_as_well() {
        check("ada/**.txt", &["ada/x.txt", "ada/b/x.txt"], &["ada/x.md"]);
        check("a**x", &["ada/x", "a/b/c/x"], &["b/x"]);
        check("***", &["ada/x", "ada/b/c"], &[]);
    }

    #[test]
    fn a_question_mark_is_one_character_not_one_byte() {
        check("ada/?", &["ada/x", "ada/é", "ada/𝄞"], &["ada/xy"]);
        check("ada?x", &[], &["ada/x"]);
    }

    #[test]
    fn a_class_is_of_characters_and_never_a_slash() {
        check("ada/[à-é]", &["ada/é", "ada/á"], &["ada/z", "ada/ü"]);
        check("ada/[!é]", &["ada/e", "ada/è"], &["ada/é"]);
        check("ada[!a]x/y", &["adabx/y"], &["adaax/y"]);
        check("ada[!a]x", &[], &["ada/x"]);
        check("ada[+-9]x", &[], &["ada/x"]);
        check("ada/[]]", &["ada/]"], &["ada/x"]);
        check("ada/[a-]", &["ada/a", "ada/-"], &["ada/b"]);
    }

    #[test]
    fn braces_choose_and_may_choose_nothing() {
        check("ada/x{,.txt,.md}", &["ada/x", "ada/x.md"], &["ada/x.rs"]);
        check("{ada,bob}/{x,y{1,2}}", &["bob/y2", "ada/x"], &["ada/y"]);
    }

    #[test]
    fn a_backslash_takes_the_meaning_away() {
        check(r"ada/\*", &["ada/*"], &["ada/x"]);
        check(r"ada/\\xc3", &[r"ada/\xc3"], &["ada/Ã"]);
        check("ada/(a|b)+$", &["ada/(a|b)+$"], &["ada/a"]);
    }

    #[test]
    fn a_pattern_is_normalised_like_a_key() {
        check("ada/e\u{301}*", &["ada/\u{e9}t\u{e9}", "ada/e\u{301}"], &[]);
        assert_eq!(pattern("ada/e\u{301}"), pattern("ada/\u{e9}"));
    }

    #[test]
    fn the_prefix_ends_where_the_wildcards_begin() {
        for (text, prefix) in [
            ("ada/x", "ada/x"),
            ("ada/x*", "ada/x"),
            ("**", ""),
            ("{ada,bob}/x", ""),
            (r"ada/\*", "ada/"),
            ("ada/[ab]", "ada/"),
        ] {
            assert_eq!(pattern(text).literal_prefix(), prefix, "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("ada/[a", "class"),
            ("ada/{a", "alternate"),
            ("ada/a}", "alternate"),
            ("ada/[z-a]", "range"),
            ("ada/\\", "\\"),
            (&"x".repeat(limits::PATTERN_BYTES_MAX + 1), "bytes"),
            (&"x".repeat(4 * limits::PATTERN_BYTES_MAX), "bytes"),
            (&"*a".repeat(limits::PATTERN_WILDCARDS_MAX + 1), "at most"),
            (&"{".repeat(500), "at most"),
        ] {
            let error = Pattern::parse(text).expect_err("it is no pattern");
            assert!(error.reason.contains(reason), "{error}");
            assert!(error.pattern.chars().count() <= 65, "{error}");
        }
    }

    #[test]
    fn the_most_intricate_pattern_that_is_allowed_compiles_and_matches() {
        let nested = format!("{}x{}", "{".repeat(64), "}".repeat(64));
        check(&format!("{nested}/y"), &["x/y"], &["y/y"]);
        let many = "?".repeat(63);
        let name = "é".repeat(63);
        check(&format!("{many}/*"), &[&format!("{name}/x")], &["é/x"]);
    }

    /// A second, slower implementation of `*`, `?` and `**` in the middle of a text.
    fn naive(pattern: &[char], key: &[char]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (['*', '*', rest @ ..], _) => (0..=key.len()).any(|skip| naive(rest, &key[skip..])),
            (['*', rest @ ..], _) => {
                let segment = key.iter().take_while(|&&char| char != '/').count();
                (0..=segment).any(|skip| naive(rest, &key[skip..]))
            }
            (['?', rest @ ..], [char, after @ ..]) => *char != '/' && naive(rest, after),
            ([plain, rest @ ..], [char, after @ ..]) => plain == char && naive(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in any::<String>()) {
            let _ = Pattern::parse(&text);
        }

        #[test]
        fn any_text_of_glob_characters_parses_or_is_refused(
            text in r"[*?\[\]{},!^a-c/\\é.-]{0,80}",
            key in "[a-cé]{1,4}/[a-cé]{1,4}(/[a-cé]{1,4})?",
        ) {
            if let Ok(pattern) = Pattern::parse(&text) {
                let key = Key::parse(&key).expect("it is a key");
                let begins = key.as_str().starts_with(pattern.literal_prefix());
                prop_assert!(begins || !pattern.matches(&key));
                prop_assert_eq!(Pattern::parse(pattern.as_str()), Ok(pattern.clone()));
            }
        }

        #[test]
        fn stars_match_as_a_naive_reading_says(
            text in "[ab/é](\\*{0,2}[ab/é?]){0,6}",
            key in "[abé]{1,3}/[abé]{1,3}(/[abé]{1,3})?",
        ) {
            // A whole segment `**` also matches a slash, which the naive implementation does not handle.
            prop_assume!(!text.contains("/**/"));
            let chars: Vec<char> = text.chars().collect();
            let expected = naive(&chars, &key.chars().collect::<Vec<_>>());
            let key = Key::parse(&key).expect("it is a key");
            prop_assert_eq!(pattern(&text).matches(&key), expected, "{} on {:?}", text, key);
        }
    }
}
