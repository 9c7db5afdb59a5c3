//! Where connections come in: each gets a place, and the system's having no more sockets is survived.

use std::sync::Arc;
use std::time::Duration;

use dataverse_overlay::descriptors;
use dataverse_overlay::places::{Bounds, Place, Places};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::limits::HTTP_SPARED_MS;

/// How long to wait when the system has no more sockets to give.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts connections.
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Places>,
    /// Whether the last connection could not be accepted; said once.
    is_failing: bool,
}

impl Door {
    /// At most `connections` at once, and fewer where the system allows few open files.
    pub(super) fn new(listener: TcpListener, connections: u32) -> Self {
        let places = descriptors::connections(connections as usize);
        debug!(places, "HTTP connections are accepted");
        Self {
            listener,
            places: Places::new(Bounds {
                places,
                reserve: descriptors::reserve(places),
                spared: Duration::from_millis(HTTP_SPARED_MS),
            }),
            is_failing: false,
        }
    }

    /// The next connection and its place.
    pub(super) async fn accept(&mut self) -> (TcpStream, Place) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.is_failing = false;
                    return (stream, self.places.take().await);
                }
                Err(error) => {
                    let made_room = self.places.give_up_one();
                    if !self.is_failing {
                        warn!(%error, made_room, "no HTTP connection could be accepted");
                    }
                    self.is_failing = true;
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }
}
