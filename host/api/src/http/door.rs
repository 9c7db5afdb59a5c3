//! Where connections come in: each gets a place, and the system's having no more sockets is survived.

use std::sync::Arc;
use std::time::Duration;

use dataverse_overlay::connection_slots::{Bounds, ConnectionSlot, ConnectionSlots};
use dataverse_overlay::descriptors;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::limits::HTTP_SPARED_MS;

/// How long to wait when the system has no more sockets to give.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts connections.
pub(super) struct Door {
    listener: TcpListener,
    connection_slots: Arc<ConnectionSlots>,
    /// Whether the last connection could not be accepted; said once.
    is_failing: bool,
}

impl Door {
    /// At most `connections` at once, and fewer where the system allows few open files.
    pub(super) fn new(listener: TcpListener, connections: u32) -> Self {
        let connection_slots = descriptors::connections(connections as usize);
        debug!(connection_slots, "HTTP connections are accepted");
        Self {
            listener,
            connection_slots: ConnectionSlots::new(Bounds {
                connection_slots,
                reserve: descriptors::reserve(connection_slots),
                spared: Duration::from_millis(HTTP_SPARED_MS),
            }),
            is_failing: false,
        }
    }

    /// The next connection and its place.
    pub(super) async fn accept(&mut self) -> (TcpStream, ConnectionSlot) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.is_failing = false;
                    return (stream, self.connection_slots.take().await);
                }
                Err(error) => {
                    let made_room = self.connection_slots.give_up_one();
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
