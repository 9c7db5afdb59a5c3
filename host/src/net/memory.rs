//! The transport port without sockets: whole networks of live drivers in one thread, with faults.
//!
//! A [`MemoryNetwork`] is the wire. Nodes listen on it under addresses, stop, fall silent and come back;
//! links between them are cut, healed and slowed. Calls keep the promises of the port, with the same
//! deadlines and by the same rules for streams as over gRPC. All waiting is on tokio's clock, which a
//! test may pause. For tests and experiments only: a real node never uses it.

mod transport;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::deadlines::Deadlines;
use crate::settings::Settings;
use crate::transport::{CallError, Serve};

pub use transport::MemoryTransport;

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct MemoryNetwork {
    world: Arc<World>,
}

struct World {
    state: Mutex<State>,
    /// Counts the changes of `state`, for whoever waits for one.
    changes: watch::Sender<u64>,
    deadlines: Deadlines,
}

#[derive(Default)]
struct State {
    nodes: HashMap<String, Listening>,
    stopped: HashSet<String>,
    silent: HashSet<String>,
    cut: HashSet<(String, String)>,
    delays: HashMap<(String, String), Duration>,
    started: u64,
}

#[derive(Clone)]
struct Listening {
    node: Arc<dyn Serve>,
    /// Tells a node from the one that listened here before it.
    start: u64,
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.min(b).to_owned(), a.max(b).to_owned())
}

impl MemoryNetwork {
    /// A network without nodes, whose calls end by the deadlines of these settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let world = World {
            state: Mutex::default(),
            changes: watch::Sender::default(),
            deadlines: Deadlines::new(settings),
        };
        Self {
            world: Arc::new(world),
        }
    }

    /// What the node at this address calls others with.
    #[must_use]
    pub fn transport(&self, address: &str) -> MemoryTransport {
        MemoryTransport::new(Arc::clone(&self.world), address)
    }

    /// A node listens at this address from now on, in place of whoever did before.
    pub fn listen(&self, address: &str, node: Arc<dyn Serve>) {
        self.world.change(|state| {
            state.started += 1;
            let start = state.started;
            state
                .nodes
                .insert(address.to_owned(), Listening { node, start });
            state.stopped.remove(address);
            state.silent.remove(address);
        });
    }

    /// The node is gone, as if killed: what is under way with it breaks, and calls are refused.
    pub fn stop(&self, address: &str) {
        self.world.change(|state| {
            state.nodes.remove(address);
            state.stopped.insert(address.to_owned());
        });
    }

    /// The node takes calls and says nothing any more, as if its machine hung.
    pub fn silence(&self, address: &str) {
        self.world.change(|state| {
            state.silent.insert(address.to_owned());
        });
    }

    /// The node speaks again.
    pub fn wake(&self, address: &str) {
        self.world.change(|state| {
            state.silent.remove(address);
        });
    }

    /// Nothing passes between the two any more, and what is under way breaks.
    pub fn cut(&self, a: &str, b: &str) {
        self.world.change(|state| {
            state.cut.insert(pair(a, b));
        });
    }

    /// Undoes [`MemoryNetwork::cut`].
    pub fn heal(&self, a: &str, b: &str) {
        self.world.change(|state| {
            state.cut.remove(&pair(a, b));
        });
    }

    /// A message between the two takes so long in each direction.
    pub fn delay(&self, a: &str, b: &str, each_way: Duration) {
        self.world.change(|state| {
            state.delays.insert(pair(a, b), each_way);
        });
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until `wanted` holds.
    async fn until<T>(&self, wanted: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let found = wanted(&self.state());
            if let Some(found) = found {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl State {
    /// Who listens at `to`, as `from` sees it.
    fn route(&self, from: &str, to: &str) -> Result<Listening, CallError> {
        let unreachable = |reason: &str| CallError::Unreachable {
            address: to.to_owned(),
            reason: reason.to_owned(),
        };
        if self.stopped.contains(from) {
            return Err(unreachable("this node is stopped"));
        }
        if self.cut.contains(&pair(from, to)) {
            return Err(unreachable("no route to host"));
        }
        let listening = self.nodes.get(to).cloned();
        listening.ok_or_else(|| unreachable("connection refused"))
    }

    /// Why what is under way between the two breaks, if it does.
    fn broken(&self, from: &str, to: &str, start: u64) -> Option<CallError> {
        match self.route(from, to) {
            Ok(listening) if listening.start == start => None,
            Ok(_) => Some(CallError::Unreachable {
                address: to.to_owned(),
                reason: "connection reset".to_owned(),
            }),
            Err(error) => Some(error),
        }
    }
}
