//! A transport without sockets: whole networks of live drivers in one process, with faults.
//!
//! A [`MemoryNetwork`] carries the calls. Nodes listen on it under addresses, stop, hang and come back; connections
//! between them are cut (in one direction, too), healed and slowed. A [`Weather`] decides for every single call whether
//! it is late, lost or duplicated; the network itself uses no randomness. Calls keep the promises of the port, with the
//! same deadlines and the same rules for streams as over gRPC. All waiting uses tokio's clock, which a test may pause.
//! For tests and experiments only: a real node never uses it.

mod transport;
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dataverse_store::changing::Changing;
use parking_lot::MutexGuard;

use super::deadlines::Deadlines;
use crate::timings::Timings;
use crate::transport::{CallError, CallKind, Serve};

pub use transport::MemoryTransport;
pub use weather::{Fate, Lost, Weather};

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct MemoryNetwork {
    world: Arc<SharedNetwork>,
}

struct SharedNetwork {
    state: Changing<State>,
    deadlines: Deadlines,
    weather: OnceLock<Arc<dyn Weather>>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Listening>,
    stopped: BTreeSet<String>,
    /// How often the node at an address was stopped. Calls from an earlier lifetime fail.
    lives: BTreeMap<String, u64>,
    silent: BTreeSet<String>,
    cut: BTreeSet<(String, String)>,
    /// Pairs of addresses: nothing arrives from the first at the second.
    cut_one_way: BTreeSet<(String, String)>,
    delays: BTreeMap<(String, String), Duration>,
    started: u64,
}

#[derive(Clone)]
struct Listening {
    node: Arc<dyn Serve>,
    /// Distinguishes a node from the one that listened here before it.
    start: u64,
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.min(b).to_owned(), a.max(b).to_owned())
}

impl MemoryNetwork {
    /// A network without nodes. Calls end by the deadlines of these timings.
    #[must_use]
    pub fn new(timings: &Timings) -> Self {
        let world = SharedNetwork {
            state: Changing::default(),
            deadlines: Deadlines::new(timings),
            weather: OnceLock::new(),
        };
        Self {
            world: Arc::new(world),
        }
    }

    /// Sets what decides about every call from now on. May be called once.
    pub fn make_weather(&self, weather: Arc<dyn Weather>) {
        let first = self.world.weather.set(weather).is_ok();
        assert!(first, "a network has one weather");
    }

    /// The transport of the node at this address, usable until the node is stopped.
    #[must_use]
    pub fn transport(&self, address: &str) -> MemoryTransport {
        MemoryTransport::new(Arc::clone(&self.world), address)
    }

    /// Makes a node listen at this address, replacing any earlier one.
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

    /// Stops the node as if it were killed: its calls break, and new calls to it are refused.
    pub fn stop(&self, address: &str) {
        self.world.change(|state| {
            state.nodes.remove(address);
            state.stopped.insert(address.to_owned());
            *state.lives.entry(address.to_owned()).or_default() += 1;
        });
    }

    /// Makes the node accept calls without answering, as if its machine hung.
    pub fn silence(&self, address: &str) {
        self.world.change(|state| {
            state.silent.insert(address.to_owned());
        });
    }

    /// Makes the node answer again.
    pub fn wake(&self, address: &str) {
        self.world.change(|state| {
            state.silent.remove(address);
        });
    }

    /// Cuts the connection between the two: calls under way break and new ones fail.
    pub fn cut(&self, a: &str, b: &str) {
        self.world.change(|state| {
            state.cut.insert(pair(a, b));
        });
    }

    /// Nothing that one sends reaches the other any more: no calls, no answers, no content. Neither side notices; the
    /// receiver waits until its deadline.
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.world.change(|state| {
            state.cut_one_way.insert((from.to_owned(), to.to_owned()));
        });
    }

    /// Undoes [`MemoryNetwork::cut`] and [`MemoryNetwork::cut_one_way`], both ways.
    pub fn heal(&self, a: &str, b: &str) {
        self.world.change(|state| {
            state.cut.remove(&pair(a, b));
            for (from, to) in [(a, b), (b, a)] {
                let way = (from.to_owned(), to.to_owned());
                state.cut_one_way.remove(&way);
            }
        });
    }

    /// Delays every message between the two by this long in each direction.
    pub fn delay(&self, a: &str, b: &str, each_way: Duration) {
        self.world.change(|state| {
            state.delays.insert(pair(a, b), each_way);
        });
    }
}

impl SharedNetwork {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.now()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.change(change);
    }

    fn fate(&self, from: &str, to: &str, call: CallKind) -> Fate {
        let weather = self.weather.get();
        weather.map_or_else(Fate::default, |weather| weather.fate(from, to, call))
    }
}

impl State {
    /// The node that listens at `to`, if `from` can reach it.
    fn route(&self, from: &str, lifetime: u64, to: &str) -> Result<Listening, CallError> {
        let unreachable = |reason: &str| CallError::Unreachable {
            address: to.to_owned(),
            reason: reason.to_owned(),
        };
        if self.stopped.contains(from) || self.lifetime(from) != lifetime {
            return Err(unreachable("this node is stopped"));
        }
        if self.cut.contains(&pair(from, to)) {
            return Err(unreachable("no route to host"));
        }
        let listening = self.nodes.get(to).cloned();
        listening.ok_or_else(|| unreachable("connection refused"))
    }

    /// How often the node at this address was stopped.
    fn lifetime(&self, address: &str) -> u64 {
        self.lives.get(address).copied().unwrap_or(0)
    }

    /// Whether what one sends currently reaches the other.
    fn hears(&self, from: &str, to: &str) -> bool {
        let way = (from.to_owned(), to.to_owned());
        !self.silent.contains(from) && !self.silent.contains(to) && !self.cut_one_way.contains(&way)
    }

    /// Whether the node that listened under this number still does.
    fn listens(&self, to: &str, start: u64) -> bool {
        self.nodes.get(to).is_some_and(|node| node.start == start)
    }

    /// Why a call under way between the two breaks, if it does.
    fn broken(&self, from: &str, lifetime: u64, to: &str, start: u64) -> Option<CallError> {
        match self.route(from, lifetime, to) {
            Ok(listening) if listening.start == start => None,
            Ok(_) => Some(CallError::Unreachable {
                address: to.to_owned(),
                reason: "connection reset".to_owned(),
            }),
            Err(error) => Some(error),
        }
    }
}
