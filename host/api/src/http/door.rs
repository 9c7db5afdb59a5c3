//! Accepts connections: gives each a slot, and survives running out of sockets.

use std::sync::Arc;
use std::time::Duration;

use dataverse_overlay::connection_slots::{Bounds, ConnectionSlot, ConnectionSlots};
use dataverse_overlay::descriptors;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::limits::HTTP_SPARED_MS;

/// How long to wait before accepting again after the system refused a socket.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Accepts connections.
pub(super) struct Door {
    listener: TcpListener,
    connection_slots: Arc<ConnectionSlots>,
    /// Whether the last accept failed; the failure is logged once.
    is_failing: bool,
}

impl Door {
    /// At most `connections` at a time, and fewer where the system's limit on open files is low.
    pub(super) fn new(listener: TcpListener, connections: u32) -> Self {
        let connection_slots = descriptors::connections(connections as usize);
        debug!(connection_slots, "accepting HTTP connections");
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

    /// The next connection and its slot.
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
                        warn!(%error, made_room, "could not accept an HTTP connection");
                    }
                    self.is_failing = true;
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }
}
