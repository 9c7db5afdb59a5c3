//! Conditional requests (RFC 9110, section 13), evaluated against a file's digest and modification time.
//!
//! A file's entity tag is its digest in quotes. It is always strong: equal tags mean equal bytes.

use std::time::{Duration, SystemTime};

use axum::http::header::{
    AsHeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use axum::http::{HeaderMap, HeaderValue};
use dataverse_core::content::Digest;
use dataverse_core::version::Version;
use dataverse_node::driver::Condition;

/// Seconds from 1970 to the end of the year 9999, the last that an HTTP date can express.
const DATE_SECONDS_MAX: u64 = 253_402_300_799;
/// A date distinguishes two versions only once both of their seconds are surely over (RFC 9110, section 8.8.2.2).
const DATE_IS_STRONG_AFTER: Duration = Duration::from_secs(60);

/// The current state of a file, against which conditions are evaluated.
pub(super) struct Present {
    digest: Digest,
    modified: SystemTime,
}

/// The outcome of a read's conditions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Serve the file.
    Serve,
    /// 304: the client already has this content.
    NotModified,
    /// 412: the condition did not hold.
    Failed,
}

/// `If-Match` or `If-None-Match` of a write that can't be honoured; the text says why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadCondition(&'static str);

impl Present {
    pub(super) fn new(digest: Digest, version: Version) -> Self {
        let seconds = (version.stamp.millis() / 1000).min(DATE_SECONDS_MAX);
        Self {
            digest,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        }
    }

    /// The value of `ETag`.
    pub(crate) fn entity_tag(&self) -> HeaderValue {
        entity_tag(self.digest)
    }

    /// The value of `Last-Modified`.
    pub(super) fn last_modified(&self) -> HeaderValue {
        HeaderValue::try_from(httpdate::fmt_http_date(self.modified))
            .expect("a date is visible ASCII")
    }

    /// Evaluates `If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If-Modified-Since`, in that order; a date
    /// counts only where there is no tag.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(IF_MATCH) {
            if !tags(headers, IF_MATCH).any(|tag| self.is_strongly(&tag)) {
                return Verdict::Failed;
            }
        } else if date(headers, IF_UNMODIFIED_SINCE).is_some_and(|date| self.modified > date) {
            return Verdict::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            if tags(headers, IF_NONE_MATCH).any(|tag| self.is_weakly(&tag)) {
                return Verdict::NotModified;
            }
        } else if date(headers, IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date) {
            return Verdict::NotModified;
        }
        Verdict::Serve
    }

    /// Whether a `Range` applies: there is no `If-Range`, or it matches the file.
    pub(super) fn range_counts(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let Some(value) = headers.get(IF_RANGE) else {
            return true;
        };
        if let Some(date) = date(headers, IF_RANGE) {
            let age = now.duration_since(self.modified).unwrap_or_default();
            return date == self.modified && age >= DATE_IS_STRONG_AFTER;
        }
        value.as_bytes() == self.entity_tag().as_bytes()
    }

    fn is_strongly(&self, tag: &Tag<'_>) -> bool {
        *tag == Tag::Any || *tag == Tag::Strong(&self.digest.to_string())
    }

    fn is_weakly(&self, tag: &Tag<'_>) -> bool {
        self.is_strongly(tag) || *tag == Tag::Weak(&self.digest.to_string())
    }
}

/// The entity tag of this content.
pub(in crate::http) fn entity_tag(digest: Digest) -> HeaderValue {
    HeaderValue::try_from(format!("\"{digest}\"")).expect("hexadecimal digits are visible ASCII")
}

/// The condition of a write.
///
/// # Errors
/// [`BadCondition`] for a condition that can't be evaluated before the write: ignoring it would be wrong.
pub(super) fn of_write(headers: &HeaderMap) -> Result<Condition, BadCondition> {
    match (
        headers.contains_key(IF_MATCH),
        headers.contains_key(IF_NONE_MATCH),
    ) {
        (true, true) => Err(BadCondition(
            "`If-Match` and `If-None-Match` cannot be combined",
        )),
        (true, false) => {
            let mut digests = Vec::new();
            for tag in tags(headers, IF_MATCH) {
                match tag {
                    Tag::Any => return Ok(Condition::Present),
                    // A weak tag, or one that is not a digest, matches no file.
                    Tag::Strong(text) => digests.extend(text.parse::<Digest>()),
                    Tag::Weak(_) => {}
                    Tag::Wrong => {
                        return Err(BadCondition(
                            "`If-Match` must be `*` or a comma-separated list of entity tags in quotes",
                        ));
                    }
                }
            }
            Ok(Condition::Matches(digests))
        }
        (false, true) if tags(headers, IF_NONE_MATCH).eq([Tag::Any]) => Ok(Condition::Absent),
        (false, true) => Err(BadCondition("in a write, `If-None-Match` must be `*`")),
        (false, false) if has_date_condition(headers) => Err(BadCondition(
            "a write cannot depend on a date; use `If-Match` with an entity tag",
        )),
        (false, false) => Ok(Condition::Always),
    }
}

fn has_date_condition(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_UNMODIFIED_SINCE)
}

fn date(headers: &HeaderMap, name: impl AsHeaderName) -> Option<SystemTime> {
    let text = headers.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag<'a> {
    Any,
    Strong(&'a str),
    Weak(&'a str),
    Wrong,
}

/// Every tag in every line of this header. Nothing follows a tag that can't be parsed.
fn tags<'a>(headers: &'a HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = Tag<'a>> {
    headers.get_all(name).iter().flat_map(|line| {
        let mut rest = line.to_str().map(str::trim);
        std::iter::from_fn(move || match rest {
            Ok("") => None,
            Ok(text) => {
                let (tag, left) = first_tag(text).unwrap_or((Tag::Wrong, ""));
                rest = Ok(left);
                Some(tag)
            }
            Err(_) => {
                rest = Ok("");
                Some(Tag::Wrong)
            }
        })
    })
}

fn first_tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let (tag, rest) = if let Some(rest) = text.strip_prefix('*') {
        (Tag::Any, rest)
    } else if let Some(quoted) = text.strip_prefix("W/\"") {
        let (tag, rest) = quoted.split_once('"')?;
        (Tag::Weak(tag), rest)
    } else {
        let (tag, rest) = text.strip_prefix('"')?.split_once('"')?;
        (Tag::Strong(tag), rest)
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Some((tag, rest));
    }
    Some((
        tag,
        rest.strip_prefix(',')?.trim_start_matches([',', ' ', '\t']),
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use dataverse_core::id::NodeId;
    use dataverse_core::version::Stamp;

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn present() -> Present {
        let modified = httpdate::parse_http_date(MODIFIED).expect("a valid date");
        let age = modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("it is later");
        let millis = u64::try_from(age.as_millis()).expect("it fits") + 999;
        let version = Version {
            stamp: Stamp::at(millis),
            writer: NodeId::from(1),
        };
        Present::new(Digest::of(b"x"), version)
    }

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let own = format!("\"{}\"", Digest::of(b"x"));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = value.replace("OWN", &own);
            headers.append(name, value.parse().expect("a valid header"));
        }
        headers
    }

    #[track_caller]
    fn check(lines: &[(HeaderName, &str)], expected: Verdict) {
        assert_eq!(present().judge(&headers(lines)), expected, "{lines:?}");
    }

    #[test]
    fn a_known_tag_is_not_sent_again() {
        for value in [
            "OWN",
            "W/OWN",
            "*",
            "\"other\", OWN",
            "\"a,b\" ,W/OWN",
            "\"a\",, OWN",
        ] {
            check(&[(IF_NONE_MATCH, value)], Verdict::NotModified);
        }
        for value in ["\"other\"", "", "OWNx", "other", "\"open"] {
            check(&[(IF_NONE_MATCH, value)], Verdict::Serve);
        }
        check(
            &[(IF_NONE_MATCH, "\"a\""), (IF_NONE_MATCH, "OWN")],
            Verdict::NotModified,
        );
    }

    #[test]
    fn a_read_that_must_match_fails_otherwise() {
        check(&[(IF_MATCH, "OWN")], Verdict::Serve);
        check(&[(IF_MATCH, "*")], Verdict::Serve);
        check(&[(IF_MATCH, "W/OWN")], Verdict::Failed);
        check(&[(IF_MATCH, "\"other\"")], Verdict::Failed);
        check(
            &[(IF_MATCH, "OWN"), (IF_NONE_MATCH, "OWN")],
            Verdict::NotModified,
        );
    }

    #[test]
    fn dates_count_where_there_is_no_tag() {
        check(&[(IF_MODIFIED_SINCE, MODIFIED)], Verdict::NotModified);
        check(&[(IF_MODIFIED_SINCE, BEFORE)], Verdict::Serve);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], Verdict::Serve);
        check(
            &[(IF_MODIFIED_SINCE, MODIFIED), (IF_NONE_MATCH, "\"a\"")],
            Verdict::Serve,
        );
        check(&[(IF_UNMODIFIED_SINCE, MODIFIED)], Verdict::Serve);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE)], Verdict::Failed);
        check(
            &[(IF_UNMODIFIED_SINCE, BEFORE), (IF_MATCH, "OWN")],
            Verdict::Serve,
        );
    }

    #[test]
    fn a_range_counts_only_for_the_content_it_was_meant_for() {
        let soon = httpdate::parse_http_date(MODIFIED).expect("a valid date");
        let check = |value: Option<&str>, later: u64, expected: bool| {
            let lines: Vec<_> = value.map(|value| (IF_RANGE, value)).into_iter().collect();
            let now = soon + Duration::from_secs(later);
            assert_eq!(
                present().range_counts(&headers(&lines), now),
                expected,
                "{value:?}"
            );
        };
        check(None, 0, true);
        check(Some("OWN"), 0, true);
        check(Some("W/OWN"), 0, false);
        check(Some("\"other\""), 0, false);
        check(Some(MODIFIED), 1, false);
        check(Some(MODIFIED), 60, true);
        check(Some(BEFORE), 60, false);
    }

    #[test]
    fn the_time_of_a_hostile_stamp_is_still_a_date() {
        let version = Version {
            stamp: Stamp(u64::MAX),
            writer: NodeId::from(1),
        };
        let present = Present::new(Digest::of(b""), version);
        assert_eq!(present.last_modified(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_write_says_when_it_is_to_happen() {
        let check = |lines: &[(HeaderName, &str)], expected: Option<Condition>| {
            assert_eq!(of_write(&headers(lines)).ok(), expected, "{lines:?}");
        };
        let own = Digest::of(b"x");
        check(&[], Some(Condition::Always));
        check(&[(IF_NONE_MATCH, "*")], Some(Condition::Absent));
        check(&[(IF_MATCH, "*")], Some(Condition::Present));
        check(&[(IF_MATCH, "OWN")], Some(Condition::Matches(vec![own])));
        check(
            &[(IF_MATCH, "\"a\", OWN")],
            Some(Condition::Matches(vec![own])),
        );
        check(
            &[(IF_MATCH, "\"no digest\"")],
            Some(Condition::Matches(vec![])),
        );
        check(&[(IF_MATCH, "W/OWN")], Some(Condition::Matches(vec![])));
        check(&[(IF_MATCH, "bare")], None);
        check(&[(IF_NONE_MATCH, "OWN")], None);
        check(&[(IF_NONE_MATCH, "*"), (IF_MATCH, "*")], None);
        check(&[(IF_UNMODIFIED_SINCE, MODIFIED)], None);
    }
}
