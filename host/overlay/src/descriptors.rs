//! File descriptors: how many this process may open, and which share of them connections may take.
//!
//! Every connection and every open file needs one. Without any left, the store can't open files, so connections are
//! bounded well below the limit.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::limits::{CONNECTIONS_MAX, HTTP_RESERVE_MAX};

/// A listener may take one over this of all descriptors; the rest is for files and outgoing connections.
const LISTENER_DIVISOR: u64 = 4;
/// The fewest connections that a listener is given.
const CONNECTIONS_MIN: usize = 8;

/// Raises the soft limit of open files to the hard limit, which any process may do.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

/// How many incoming connections a listener may have, `wanted` at most.
pub fn connections(wanted: usize) -> usize {
    share(getrlimit(Resource::Nofile).current, wanted)
}

/// How many HTTP connections are allowed in addition to this many, for requests that must always be answered.
pub fn reserve(connections: usize) -> usize {
    (connections / 4).clamp(2, HTTP_RESERVE_MAX)
}

fn share(limit: Option<u64>, wanted: usize) -> usize {
    let Some(limit) = limit else {
        return wanted;
    };
    let share = usize::try_from(limit / LISTENER_DIVISOR).unwrap_or(CONNECTIONS_MAX);
    wanted.min(share.max(CONNECTIONS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_most_descriptors_to_files() {
        assert_eq!(share(None, 1024), 1024);
        assert_eq!(share(Some(1 << 20), 1024), 1024);
        assert_eq!(share(Some(256), 1024), 64);
        assert_eq!(share(Some(256), 10), 10);
        assert_eq!(share(Some(8), 1024), CONNECTIONS_MIN);
        for limit in [256, 1024, 65_536] {
            let http = share(Some(limit), 1024);
            let taken = http + reserve(http) + share(Some(limit), CONNECTIONS_MAX);
            assert!(taken as u64 * 3 <= limit * 2, "{taken} of {limit}");
        }
    }
}
