//! A policy as a component: the exports of the contract, with one instance of the policy behind them.
//!
//! Only built for `wasm32`. `export!` defines a [`Seat`] in the author's crate, an empty type that knows where the
//! instance is stored; everything else is here, shared by all policies.

use std::cell::RefCell;

use crate::{
    About, Admission, Entry, EvictionPolicy, Level, Millis, Node, PlacementPolicy, Read,
    RelocationPolicy, Request, Slot, Verdict,
};

pub mod bindings;
mod panics;

use bindings::{eviction, introduction, placement, relocation};

/// Smaller and several times as fast as the target's default allocator; a question consists of many short strings.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Where a policy's only instance is stored; `None` until it is configured.
pub type Instance<P> = RefCell<Option<P>>;

/// Implemented by `export!` for a type in the author's crate: gives access to the policy's only instance.
pub trait Seat {
    /// The policy.
    type Policy: 'static;

    /// The policy's description of itself.
    fn about() -> About;

    /// Creates a policy from its configuration, as JSON, and its seed.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn make(config: &str, seed: u64) -> Result<Self::Policy, String>;

    /// Gives access to the instance.
    fn lend<R>(ask: impl FnOnce(&Instance<Self::Policy>) -> R) -> R;
}

/// Asks the instance a question.
fn ask<S: Seat, R>(question: impl FnOnce(&mut S::Policy) -> R) -> R {
    S::lend(|instance| match &mut *instance.borrow_mut() {
        Some(policy) => question(policy),
        None => {
            panics::tell_the_node();
            panic!("a policy must be configured before it is asked anything");
        }
    })
}

impl<S: Seat> introduction::exports::dataverse::policy::policy::Guest for S {
    fn describe() -> introduction::exports::dataverse::policy::policy::About {
        panics::tell_the_node();
        let about = S::about();
        introduction::exports::dataverse::policy::policy::About {
            name: about.name.to_owned(),
            version: about.version.to_owned(),
            summary: about.summary.to_owned(),
            config_schema: about.config_schema.to_owned(),
        }
    }

    fn configure(config: String, seed: u64) -> Result<(), String> {
        panics::tell_the_node();
        let policy = S::make(&config, seed)?;
        S::lend(|instance| instance.replace(Some(policy)));
        Ok(())
    }
}

impl<S: Seat<Policy: PlacementPolicy>> placement::exports::dataverse::policy::placement::Guest
    for S
{
    fn place(request: Request, candidates: Vec<Node>) -> Vec<u32> {
        ask::<S, _>(|policy| policy.place(&request, &candidates))
    }
}

impl<S: Seat<Policy: EvictionPolicy>> eviction::exports::dataverse::policy::eviction::Guest for S {
    fn set_capacity(bytes: u64) {
        ask::<S, _>(|policy| policy.set_capacity(bytes));
    }

    fn restore(entries: Vec<Entry>) {
        ask::<S, _>(|policy| policy.restore(&entries));
    }

    fn hit(slots: Vec<Slot>) {
        ask::<S, _>(|policy| policy.hit(&slots));
    }

    fn admit(incoming: Entry, needed: u64) -> Admission {
        ask::<S, _>(|policy| policy.admit(incoming, needed))
    }

    fn make_room(needed: u64, now: Millis) -> Vec<Slot> {
        ask::<S, _>(|policy| policy.make_room(needed, now))
    }

    fn removed(slots: Vec<Slot>) {
        ask::<S, _>(|policy| policy.removed(&slots));
    }
}

impl<S: Seat<Policy: RelocationPolicy>> relocation::exports::dataverse::policy::relocation::Guest
    for S
{
    fn on_read(read: Read) -> Verdict {
        ask::<S, _>(|policy| policy.on_read(&read))
    }
}

/// Writes one line to the node's log.
pub(crate) fn log(level: Level, message: &str) {
    introduction::dataverse::policy::host::log(level, message);
}
