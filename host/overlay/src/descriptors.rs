//! File descriptors: how many this process may have, and what part of them connections may take.
//!
//! Every connection and every open file takes one. When they run out the store can open nothing any more, so
//! connections are bounded well below.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::limits::{CONNECTIONS_MAX, HTTP_RESERVE_MAX};

/// Each listener may take one such part of all descriptors; the rest is for files and for connections to others.
const LISTENER_DIVISOR: u64 = 4;
/// The least that a listener works with.
const CONNECTIONS_MIN: usize = 8;

/// Raises the soft limit of descriptors to the hard one, as any process may.
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

/// How many connections from others a listener may have, of at most `wanted`.
pub fn connections(wanted: usize) -> usize {
    share(getrlimit(Resource::Nofile).current, wanted)
}

/// How many HTTP connections may come on top of so many, for what must always be answered.
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
