//! `Instance`: one policy with its own memory, and how it is called.
//!
//! Every call gets the full fuel and time. When a call fails in any way the instance is dead: it was interrupted
//! midway, so it is never entered again and answers every further call with a fault.

use std::char::DecodeUtf16Error;
use std::str::Utf8Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataverse_core::content::Digest;
use dataverse_core::limits::VERDICT_ENTRIES_MAX;
use dataverse_core::policy::{Fault, FaultKind};
use wasmtime::component::{ComponentNamedList, Func, InstancePre, Lift, Lower};
use wasmtime::{FrameInfo, OutOfMemory, Store, Trap, WasmBacktrace, WasmtimeBug};

use crate::allowance::Allowance;
use crate::contract;
use crate::journal::{Journal, LogSink};
use crate::limits;
use crate::refusal::{Refusal, cut, reason};
use crate::ticker::Ticker;

/// Limits of one decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuestLimits {
    /// Fuel; most instructions cost one.
    pub fuel: u64,
    /// Wall-clock time, in milliseconds.
    pub wall_ms: u64,
    /// Memory of the instance, in MiB.
    pub memory_mib: u64,
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            fuel: limits::POLICY_FUEL_DEFAULT,
            wall_ms: limits::POLICY_WALL_MS_DEFAULT,
            memory_mib: limits::POLICY_MEMORY_MIB_DEFAULT,
        }
    }
}

impl GuestLimits {
    /// The limits for starting an instance.
    fn to_start(self) -> Self {
        Self {
            fuel: self.fuel.saturating_mul(limits::POLICY_START_BUDGETS),
            ..self.patient()
        }
    }

    /// The same limits with many times the time, for calls that no request waits for, up to a bound.
    #[must_use]
    pub fn patient(self) -> Self {
        let wall_ms = self.wall_ms.saturating_mul(limits::POLICY_START_BUDGETS);
        let most = limits::POLICY_START_WALL_MS_MAX.max(self.wall_ms);
        Self {
            wall_ms: wall_ms.min(most),
            ..self
        }
    }
}

/// How to create an instance.
#[derive(Clone, Default)]
pub struct Setup {
    /// The policy's name in the log; if empty, the beginning of its digest is used.
    pub name: String,
    /// Its configuration, a JSON object; if empty, the policy gets `{}`.
    pub config: String,
    /// The policy's only source of randomness.
    pub seed: u64,
    /// The limits of each decision.
    pub limits: GuestLimits,
    /// Where its log lines go; `None` for the node's log.
    pub log: Option<LogSink>,
}

/// A policy's description of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name. The node uses the file's name instead.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in one line.
    pub summary: String,
    /// JSON Schema of its configuration; empty if it has none.
    pub config_schema: String,
}

/// The cost of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Fuel; the same in every run of the same calls.
    pub fuel: u64,
    /// Time, including the transfer of arguments and answers; zero when calls are not timed.
    pub elapsed: Duration,
}

/// The host's data for an instance.
pub(crate) struct State {
    allowance: Allowance,
    pub(crate) journal: Journal,
}

pub(crate) struct Instance {
    store: Store<State>,
    entered: wasmtime::component::Instance,
    limits: GuestLimits,
    about: About,
    cost: Cost,
    /// Whether calls are timed, which takes a good part of a short call.
    timed: bool,
    dead: Option<Fault>,
    // Dropped last: it interrupts calls.
    _ticker: Arc<Ticker>,
}

impl Instance {
    /// Instantiates the policy, reads its description and configures it.
    pub(crate) fn start(
        linked: &InstancePre<State>,
        digest: Digest,
        ticker: Arc<Ticker>,
        setup: &Setup,
    ) -> Result<Self, Refusal> {
        let mut store = Store::new(
            linked.engine(),
            State {
                allowance: Allowance::new(setup.limits.memory_mib),
                journal: Journal::new(name_for_log(digest, setup), setup.log.clone()),
            },
        );
        store.limiter(|state| &mut state.allowance);
        store.set_hostcall_fuel(limits::POLICY_HANDED_BYTES_MAX);
        refill(&mut store, setup.limits.to_start());
        let entered = linked
            .instantiate(&mut store)
            .map_err(|error| fault_at_start(&error, &mut store))?;
        let mut instance = Self {
            store,
            entered,
            limits: setup.limits.to_start(),
            about: About {
                name: String::new(),
                version: String::new(),
                summary: String::new(),
                config_schema: String::new(),
            },
            cost: Cost::default(),
            timed: true,
            dead: None,
            _ticker: ticker,
        };
        instance.introduce()?;
        instance.configure(setup)?;
        instance.limits = setup.limits;
        Ok(instance)
    }

    fn introduce(&mut self) -> Result<(), Refusal> {
        let describe = self.function(contract::POLICY, "describe")?;
        let describe = self.typed::<(), (contract::About,)>(describe, "describe")?;
        let (about,) = self.call(|store| describe.call(store, ()))?;
        let short = limits::POLICY_ABOUT_BYTES_MAX;
        for (what, text, most) in [
            ("name", &about.name, short),
            ("version", &about.version, short),
            ("summary", &about.summary, short),
            (
                "config-schema",
                &about.config_schema,
                limits::POLICY_SCHEMA_BYTES_MAX,
            ),
        ] {
            if text.len() > most {
                let bytes = text.len();
                let reason = format!("its {what} has {bytes} bytes; at most {most} are allowed");
                return Err(Fault::new(FaultKind::TooLong, reason).into());
            }
        }
        self.about = About {
            name: about.name,
            version: about.version,
            summary: about.summary,
            config_schema: about.config_schema,
        };
        Ok(())
    }

    fn configure(&mut self, setup: &Setup) -> Result<(), Refusal> {
        type Answer = (Result<(), String>,);
        let configure = self.function(contract::POLICY, "configure")?;
        let configure = self.typed::<(&str, u64), Answer>(configure, "configure")?;
        let config = match setup.config.as_str() {
            "" => "{}",
            config => config,
        };
        let config = (config, setup.seed);
        let (answer,) = self.call(|store| configure.call(store, config))?;
        answer.map_err(|complaint| Refusal::Config(cut(&complaint)))
    }

    /// An exported function whose types have not been compared yet.
    pub(crate) fn function(&mut self, interface: &str, name: &str) -> Result<Func, Refusal> {
        let missing = || Refusal::WrongTypes {
            name: format!("{interface}.{name}"),
            reason: "the component exports no such function".to_owned(),
        };
        let index = self
            .entered
            .get_export_index(&mut self.store, None, interface);
        let index = self
            .entered
            .get_export_index(&mut self.store, index.as_ref(), name);
        let function = index.and_then(|index| self.entered.get_func(&mut self.store, index));
        function.ok_or_else(missing)
    }

    /// The function, after comparing its types.
    pub(crate) fn typed<P, R>(
        &self,
        function: Func,
        name: &str,
    ) -> Result<wasmtime::component::TypedFunc<P, R>, Refusal>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        function
            .typed(&self.store)
            .map_err(|error| Refusal::WrongTypes {
                name: name.to_owned(),
                reason: reason(&*error),
            })
    }

    /// Calls the guest within its limits.
    pub(crate) fn call<R>(
        &mut self,
        enter: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        if let Some(fault) = &self.dead {
            return Err(fault.clone());
        }
        refill(&mut self.store, self.limits);
        let begun = self.timed.then(Instant::now);
        let answer = enter(&mut self.store);
        self.cost = Cost {
            fuel: self.limits.fuel.saturating_sub(fuel_left(&self.store)),
            elapsed: begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
        };
        answer.map_err(|error| {
            let fault = fault_of(&error, &mut self.store);
            self.end(fault)
        })
    }

    /// Returns the answer unless it is too long.
    pub(crate) fn bounded(&mut self, answer: Vec<u32>) -> Result<Vec<u32>, Fault> {
        let (found, most) = (answer.len(), VERDICT_ENTRIES_MAX);
        if found <= most {
            return Ok(answer);
        }
        let reason = format!("its answer has {found} entries; at most {most} are allowed");
        Err(self.end(Fault::new(FaultKind::TooLong, reason)))
    }

    fn end(&mut self, fault: Fault) -> Fault {
        let later = format!("it is not asked again after a fault: {}", fault.reason);
        self.dead = Some(Fault::new(fault.kind, later));
        fault
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    pub(crate) fn last_cost(&self) -> Cost {
        self.cost
    }

    /// Stops timing calls.
    pub(crate) fn stop_timing(&mut self) {
        self.timed = false;
    }
}

/// The name for its log lines, even if the setup has none.
fn name_for_log(digest: Digest, setup: &Setup) -> String {
    if !setup.name.is_empty() {
        return setup.name.clone();
    }
    let mut digest = digest.to_string();
    digest.truncate(12);
    digest
}

fn refill(store: &mut Store<State>, limits: GuestLimits) {
    store.set_fuel(limits.fuel).expect("the engine meters fuel");
    store.set_epoch_deadline(Ticker::ticks(limits.wall_ms));
    store.data_mut().allowance.forget_denial();
    store.data_mut().journal.forget_error();
}

fn fuel_left(store: &Store<State>) -> u64 {
    store.get_fuel().expect("the engine meters fuel")
}

/// The fault of an instance that could not be created. A failure of guest code that ran meanwhile has a trap or a
/// backtrace. Without either, wasmtime could not allocate the memories, tables or core instances.
fn fault_at_start(error: &wasmtime::Error, store: &mut Store<State>) -> Fault {
    if error.is::<Trap>() || error.is::<WasmBacktrace>() || store.data().allowance.denied() {
        return fault_of(error, store);
    }
    Fault::new(FaultKind::Memory, reason(&**error))
}

/// Classifies the failure of a call. A trap after a denied growth counts as a memory fault, because that is how
/// languages end when an allocation fails.
fn fault_of(error: &wasmtime::Error, store: &mut Store<State>) -> Fault {
    let said = store.data_mut().journal.take_error();
    let denied = store.data().allowance.denied();
    let trap = error.downcast_ref::<Trap>();
    let what = match trap {
        Some(trap) => trap.to_string(),
        None => reason(&**error),
    };
    let place = place_of(error);
    match trap {
        Some(Trap::OutOfFuel) => Fault::new(FaultKind::Fuel, format!("it used up its fuel{place}")),
        Some(Trap::Interrupt) => {
            Fault::new(FaultKind::Deadline, format!("it used up its time{place}"))
        }
        _ if denied => Fault::new(
            FaultKind::Memory,
            format!("it asked for more memory or table elements than allowed{place}; {what}"),
        ),
        None if handed_over_too_much(error) => {
            let most = limits::POLICY_HANDED_BYTES_MAX;
            Fault::new(
                FaultKind::TooLong,
                format!("it passed more than {most} bytes to the host at once; {what}"),
            )
        }
        _ => Fault::trap(match said {
            Some(line) => cut(&format!("{what}{place}; it said: {line}")),
            None => format!("{what}{place}"),
        }),
    }
}

/// Whether the guest passed more than [`limits::POLICY_HANDED_BYTES_MAX`] to the host.
///
/// wasmtime does not export the type of this error (`HostcallFuelExhausted`). It is recognized by having none of
/// the types that other failures of such a transfer have: a plain message for bad pointers, alignments and
/// discriminants, a decoding error for text, and wasmtime's errors for a bug of its own or a host without memory.
/// A `char` in the contract would add another one.
fn handed_over_too_much(error: &wasmtime::Error) -> bool {
    let is_message = error.is::<&'static str>() || error.is::<String>();
    let is_bad_text = error.is::<Utf8Error>() || error.is::<DecodeUtf16Error>();
    let is_of_host = error.is::<OutOfMemory>() || error.is::<WasmtimeBug>();
    !(is_message || is_bad_text || is_of_host)
}

/// The functions in which it happened, innermost first, as far as the file names them.
fn place_of(error: &wasmtime::Error) -> String {
    let frames = error.downcast_ref::<WasmBacktrace>();
    let frames = frames.map_or(&[][..], WasmBacktrace::frames);
    let named = frames.iter().filter_map(FrameInfo::func_name).map(plain);
    let named: Vec<_> = named.take(limits::POLICY_FRAMES_NAMED).collect();
    match named.as_slice() {
        [] => String::new(),
        names => format!(" in {}", names.join(", called by ")),
    }
}

/// A function's name as its author wrote it, on one line and bounded.
fn plain(name: &str) -> String {
    // Without the hash that rustc appends to distinguish functions of the same name.
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let end = name.floor_char_boundary(limits::POLICY_FRAME_BYTES_MAX);
    let shown = name[..end].chars();
    shown
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_as_its_author_wrote_it() {
        for (name, shown) in [
            ("_ZN7my_loop4spin17hf2dbf0e88d6dd97aE", "my_loop::spin"),
            (
                "_ZN76_$LT$my_loop..Coldest$u20$as$u20$dataverse_sdk..eviction..EvictionPolicy$GT$3hit17h76e0aa75efa9d049E",
                "<my_loop::Coldest as dataverse_sdk::eviction::EvictionPolicy>::hit",
            ),
            (
                "dataverse:policy/eviction@0.1.0#hit",
                "dataverse:policy/eviction@0.1.0#hit",
            ),
            ("a\nb", "a b"),
        ] {
            assert_eq!(plain(name), shown);
        }
        assert_eq!(
            plain(&"x".repeat(1000)).len(),
            limits::POLICY_FRAME_BYTES_MAX
        );
    }
}
