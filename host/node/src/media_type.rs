//! `Guess`: the media type of a file whose writer stated none, guessed from its name and settled by its content.
//!
//! The name is not enough in two cases. Browsers take text without a `charset` for Latin-1 and garble it, so UTF-8
//! text gets a `charset`. And some extensions have two meanings: `.ts` is TypeScript or an MPEG transport stream.
//!
//! Only `text/…` gets a `charset`: JSON is UTF-8 by definition (RFC 8259) and has no such parameter, XML and
//! SVG declare their encoding themselves. Content that is not text, or in another encoding, gets the plain type.

use std::str::from_utf8;

/// The type of an extension if the content is text, where that differs from [`mime_guess`].
const AS_TEXT: [(&str, &str); 11] = [
    ("cts", "text/x-typescript"),
    ("dot", "text/vnd.graphviz"),
    ("java", "text/x-java"),
    ("mjs", "text/javascript"),
    ("mod", "text/plain"),
    ("mts", "text/x-typescript"),
    ("obj", "text/plain"),
    ("org", "text/x-org"),
    ("pub", "text/plain"),
    ("ts", "text/x-typescript"),
    ("tsx", "text/x-typescript"),
];
const UNKNOWN: &str = "application/octet-stream";

/// A guess that becomes certain as content is seen.
#[derive(Debug)]
pub struct Guess {
    by_name: &'static str,
    /// The type if the content is text.
    as_text: Option<&'static str>,
    /// `None` where the content makes no difference.
    text: Option<Text>,
}

/// Checks whether bytes that arrive in parts are UTF-8 text.
#[derive(Debug, Default)]
struct Text {
    is_over: bool,
    has_controls: bool,
    /// The first bytes of a character whose rest has not arrived yet.
    begun: Vec<u8>,
}

impl Guess {
    /// The guess from a file's name.
    pub fn of(name: &str) -> Self {
        let by_name = mime_guess::from_path(name).first_raw().unwrap_or(UNKNOWN);
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        let as_text = AS_TEXT.iter().find_map(|(known, as_text)| {
            ending
                .is_some_and(|ending| ending.eq_ignore_ascii_case(known))
                .then_some(*as_text)
        });
        let matters = as_text.is_some() || by_name.starts_with("text/");
        Self {
            by_name,
            as_text,
            text: matters.then(Text::default),
        }
    }

    /// Looks at the next part of the content.
    pub fn see(&mut self, part: &[u8]) {
        if let Some(text) = &mut self.text {
            text.see(part);
        }
    }

    /// The type, once all content has been seen.
    pub fn settled(self) -> String {
        let Some(text) = self.text else {
            return self.by_name.to_owned();
        };
        let is_utf8 = !text.is_over && text.begun.is_empty();
        match self.as_text {
            Some(as_text) if is_utf8 && !text.has_controls => format!("{as_text}; charset=utf-8"),
            None if is_utf8 => format!("{}; charset=utf-8", self.by_name),
            _ => self.by_name.to_owned(),
        }
    }
}

/// Whether a stated type is merely what the file's name suggests: programs that send forms guess it that way.
pub fn is_what_the_name_says(stated: &str, name: &str) -> bool {
    let guess = mime_guess::from_path(name);
    let mut types = guess.iter_raw().chain([UNKNOWN]);
    // Browsers use the registered name for a transport stream.
    let is_stream = stated.eq_ignore_ascii_case("video/mp2t");
    types.any(|it| it.eq_ignore_ascii_case(stated) || is_stream && it.ends_with("mpeg-tts"))
}

impl Text {
    fn see(&mut self, part: &[u8]) {
        if self.is_over {
            return;
        }
        let is_control = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
        self.has_controls = self.has_controls || part.iter().any(is_control);
        let part = self.complete(part);
        let Err(error) = from_utf8(part) else {
            return;
        };
        match error.error_len() {
            Some(_) => self.is_over = true,
            None => self.begun.extend(&part[error.valid_up_to()..]),
        }
    }

    /// Completes the character begun in an earlier part and returns the rest of this part.
    fn complete<'a>(&mut self, mut part: &'a [u8]) -> &'a [u8] {
        while !self.begun.is_empty()
            && let Some((next, rest)) = part.split_first()
        {
            self.begun.push(*next);
            part = rest;
            match from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.is_over = true;
                    return &[];
                }
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(name: &str, parts: &[&[u8]]) -> String {
        let mut guess = Guess::of(name);
        for part in parts {
            guess.see(part);
        }
        guess.settled()
    }

    #[track_caller]
    fn check(name: &str, content: &[u8], expected: &str) {
        assert_eq!(settled(name, &[content]), expected, "{name}");
    }

    #[test]
    fn text_in_utf8_says_so() {
        let umlauts = "Grüße, 世界".as_bytes();
        check("a.txt", umlauts, "text/plain; charset=utf-8");
        check("a.txt", b"", "text/plain; charset=utf-8");
        check("A.TXT", b"plain", "text/plain; charset=utf-8");
        check("a.html", umlauts, "text/html; charset=utf-8");
        check("a.md", umlauts, "text/markdown; charset=utf-8");
        check("a.rs", b"fn main() {}", "text/x-rust; charset=utf-8");
        check("a.toml", b"a = 1", "text/x-toml; charset=utf-8");
        check("a.js", umlauts, "text/javascript; charset=utf-8");
        check("a.jsx", umlauts, "text/javascript; charset=utf-8");
        check("a.csv", umlauts, "text/csv; charset=utf-8");
    }

    #[test]
    fn text_in_another_encoding_does_not() {
        check("a.txt", b"Gr\xfc\xdfe", "text/plain");
        check("a.txt", b"\xff\xfeG\0r\0", "text/plain");
        check("a.txt", "Grü".as_bytes().split_at(3).0, "text/plain");
        check("a.html", b"\x80", "text/html");
    }

    #[test]
    fn other_types_have_no_charset() {
        let text = "{\"ü\": 1}".as_bytes();
        check("a.json", text, "application/json");
        check("a.svg", b"<svg/>", "image/svg+xml");
        check("a.wasm", b"\0asm", "application/wasm");
        check("a.webmanifest", text, "application/manifest+json");
        check("a.parquet", b"PAR1", "application/vnd.apache.parquet");
        check("a.png", text, "image/png");
        for name in ["README", "Cargo.lock", "a.b/c", ".env", "x."] {
            check(name, text, UNKNOWN);
        }
    }

    #[test]
    fn an_ending_with_two_meanings_is_settled_by_the_content() {
        let code = "export const ü = 1;\n".as_bytes();
        let mut stream = vec![0xff; 188 * 3];
        for packet in stream.chunks_mut(188) {
            packet[..4].copy_from_slice(b"G\x40\0\x10");
        }
        for name in ["a.ts", "a.mts", "dir.x/A.TS"] {
            check(name, code, "text/x-typescript; charset=utf-8");
            check(name, &stream, "video/vnd.dlna.mpeg-tts");
            check(name, &stream[..100], "video/vnd.dlna.mpeg-tts");
        }
        check("a.tsx", code, "text/x-typescript; charset=utf-8");
        check("a.mjs", code, "text/javascript; charset=utf-8");
        check("go.mod", b"module x\n", "text/plain; charset=utf-8");
        check("a.mod", &stream, "video/mpeg");
        check("id.pub", b"ssh-ed25519 AAAA", "text/plain; charset=utf-8");
        check("a.dot", b"\xd0\xcf\x11\xe0", "application/msword");
        check("a.m2ts", code, "video/vnd.dlna.mpeg-tts");
    }

    #[test]
    fn a_form_that_states_what_the_name_says_states_nothing() {
        for (stated, name) in [
            ("text/plain", "a.txt"),
            ("Text/Plain", "a.txt"),
            ("video/mp2t", "a.ts"),
            ("application/octet-stream", "a.txt"),
            ("text/markdown", "a.md"),
        ] {
            assert!(is_what_the_name_says(stated, name), "{stated} {name}");
        }
        for (stated, name) in [
            ("text/html", "a.txt"),
            ("text/plain; charset=latin1", "a.txt"),
            ("video/mp2t", "a.txt"),
        ] {
            assert!(!is_what_the_name_says(stated, name), "{stated} {name}");
        }
    }

    proptest! {
        #[test]
        fn where_the_parts_end_makes_no_difference(
            bytes in prop_oneof![
                "[a-zäß世😀\\n]{0,40}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..40),
            ],
            size in 1usize..9,
        ) {
            let parts: Vec<_> = bytes.chunks(size).collect();
            let whole = settled("a.txt", &[&bytes]);
            prop_assert_eq!(whole.contains("charset"), from_utf8(&bytes).is_ok());
            prop_assert_eq!(settled("a.txt", &parts), whole);
            prop_assert_eq!(settled("a.ts", &parts), settled("a.ts", &[&bytes]));
        }
    }
}
