//! The pool of connections to other nodes, kept open for the next call.
//!
//! The first call that needs a connection makes it, and the first call after it broke makes a new one. There is no
//! pause between attempts here: the caller decides when to try again. Content has a connection of its own, separate
//! from small calls, so that a probe or a membership packet never waits behind a file. Connections that were unused
//! for long (and when there are too many, the one that was unused longest) close once their last call has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataverse_core::id::NodeId;
use dataverse_identity::credentials::Credentials;
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::convert::address as parse_address;
use super::tls::connect::{OtherEnd, SecureConnector};
use crate::limits;
use crate::transport::CallError;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Small messages that want a quick answer.
    Calls,
    /// Streams of content.
    Content,
}

/// Connections by address and lane; see the module.
pub(super) struct Pool {
    connect: Duration,
    credentials: Option<Arc<Credentials>>,
    open: Mutex<HashMap<(Arc<str>, Lane), Pooled>>,
}

struct Pooled {
    channel: Channel,
    /// The node at the other end; None without TLS.
    other_end: Option<Arc<OtherEnd>>,
    used: Instant,
}

impl Pool {
    /// An empty pool whose connections may take `connect` to be made. With credentials, they are TLS.
    pub(super) fn new(connect: Duration, credentials: Option<Arc<Credentials>>) -> Self {
        Self {
            connect,
            credentials,
            open: Mutex::default(),
        }
    }

    /// The connection to `address`, and the node at its other end, if there is TLS. It may not be established yet. If
    /// a node is named, the connection leads to that one or fails.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when the address is malformed.
    pub(super) fn channel(
        &self,
        address: &str,
        node: Option<NodeId>,
        lane: Lane,
    ) -> Result<(Channel, Option<Arc<OtherEnd>>), CallError> {
        let unreachable = |reason: String| CallError::Unreachable {
            address: address.to_owned(),
            reason,
        };
        let checked = parse_address("address", address)
            .map_err(|_| unreachable("an address must be `host:port`".to_owned()))?;
        let now = Instant::now();
        let mut open = self.open.lock();
        let place = (checked, lane);
        if let Some(pooled) = open.get_mut(&place).filter(|pooled| pooled.is_for(node)) {
            pooled.used = now;
            return Ok((pooled.channel.clone(), pooled.other_end.clone()));
        }
        make_room(&mut open, now);
        let endpoint = self
            .endpoint(address)
            .map_err(|_| unreachable("the address cannot be called".to_owned()))?;
        let other_end = self.credentials.as_ref();
        let other_end = other_end.map(|_| OtherEnd::expecting(node));
        let channel = match (&self.credentials, &other_end) {
            (Some(credentials), Some(other_end)) => {
                let connector = SecureConnector {
                    tcp: tcp(),
                    credentials: Arc::clone(credentials),
                    other_end: Arc::clone(other_end),
                };
                endpoint.connect_with_connector_lazy(connector)
            }
            _ => endpoint.connect_lazy(),
        };
        let pooled = Pooled {
            channel: channel.clone(),
            other_end: other_end.clone(),
            used: now,
        };
        open.insert(place, pooled);
        Ok((channel, other_end))
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        // As much as all streams of the connection together may have in transit, so that a slow reader never holds
        // up the other streams.
        let connection_window = limits::STREAM_WINDOW_BYTES * limits::CALLS_PER_CONNECTION_MAX;
        Ok(Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(self.connect)
            .tcp_nodelay(true)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(connection_window)
            .max_frame_size(limits::FRAME_BYTES_MAX)
            .http2_max_header_list_size(limits::HEADER_BYTES_MAX)
            .http2_keep_alive_interval(Duration::from_millis(limits::KEEPALIVE_MS))
            .keep_alive_timeout(Duration::from_millis(limits::KEEPALIVE_TIMEOUT_MS))
            .keep_alive_while_idle(true))
    }
}

impl Pooled {
    fn is_for(&self, node: Option<NodeId>) -> bool {
        self.other_end.as_ref().is_none_or(|end| end.is_for(node))
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp
}

/// Drops connections that were unused for long and, if the pool is still full, the one that was unused longest.
fn make_room(open: &mut HashMap<(Arc<str>, Lane), Pooled>, now: Instant) {
    let idle_max = Duration::from_millis(limits::CHANNEL_IDLE_MS_MAX);
    open.retain(|_, pooled| now.duration_since(pooled.used) < idle_max);
    if open.len() < limits::CHANNELS_MAX {
        return;
    }
    let oldest = open.iter().min_by_key(|(_, pooled)| pooled.used);
    if let Some(place) = oldest.map(|(place, _)| place.clone()) {
        open.remove(&place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_count(pool: &Pool) -> usize {
        pool.open.lock().len()
    }

    fn touch(pool: &Pool, port: usize) {
        let address = format!("127.0.0.1:{port}");
        pool.channel(&address, None, Lane::Calls)
            .expect("it is an address");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pool_is_bounded_and_forgets_what_was_not_used_longest() {
        let pool = Pool::new(Duration::from_secs(1), None);
        for port in 1..=limits::CHANNELS_MAX {
            touch(&pool, port);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        touch(&pool, 1);
        touch(&pool, 2000);
        assert_eq!(open_count(&pool), limits::CHANNELS_MAX);
        let is_open = |port: usize| {
            let place = (format!("127.0.0.1:{port}").into(), Lane::Calls);
            pool.open.lock().contains_key(&place)
        };
        assert!(is_open(1) && !is_open(2) && is_open(2000));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_for_long_is_released() {
        let pool = Pool::new(Duration::from_secs(1), None);
        touch(&pool, 1);
        tokio::time::advance(Duration::from_millis(limits::CHANNEL_IDLE_MS_MAX)).await;
        touch(&pool, 2);
        assert_eq!(open_count(&pool), 1);
    }

    #[tokio::test]
    async fn what_is_no_address_is_unreachable() {
        let pool = Pool::new(Duration::from_secs(1), None);
        for address in [
            "",
            "x",
            "a:b:c@d",
            "http://a:1/",
            "a:0",
            "a:70000",
            "a b:1",
            "[::1:5",
        ] {
            let refused = pool.channel(address, None, Lane::Calls);
            assert!(
                matches!(refused, Err(CallError::Unreachable { .. })),
                "{address}"
            );
        }
        for address in ["localhost:7400", "127.0.0.1:1", "[::1]:7400"] {
            assert!(
                pool.channel(address, None, Lane::Content).is_ok(),
                "{address}"
            );
        }
    }
}
