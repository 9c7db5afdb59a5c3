//! What the network does to every call, drawn from the seed in the order of the calls.

use std::sync::Arc;
use std::time::Duration;

use dataverse_overlay::memory::{Fate, Lost, Weather};
use dataverse_overlay::transport::CallKind;
use parking_lot::Mutex;

use crate::chance::Chance;
use crate::log::Log;
use crate::profile::Profile;

/// The weather of a run: clear until it breaks.
pub struct SeededWeather {
    log: Arc<Log>,
    profile: Profile,
    /// The address of the slow node.
    slow: String,
    /// The random stream, and whether the weather is clear.
    state: Mutex<(Chance, bool)>,
}

impl SeededWeather {
    /// The weather of a seed.
    #[must_use]
    pub fn new(seed: u64, profile: &Profile, slow: String, log: Arc<Log>) -> Self {
        let chance = Chance::of(seed, "weather");
        Self {
            log,
            profile: profile.clone(),
            slow,
            state: Mutex::new((chance, true)),
        }
    }

    /// From now on everything in the profile happens.
    pub fn break_out(&self) {
        self.state().1 = false;
    }

    /// From now on nothing is lost or duplicated, and little is delayed.
    pub fn clear_up(&self) {
        self.state().1 = true;
    }

    /// Whether nothing goes wrong now.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.state().1
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, (Chance, bool)> {
        self.state.lock()
    }

    fn draw(&self, from: &str, to: &str) -> Fate {
        let profile = &self.profile;
        let mut state = self.state();
        let (chance, is_clear) = &mut *state;
        if *is_clear {
            let takes = chance.millis(2);
            return Fate {
                ask_takes: takes,
                answer_takes: takes,
                ..Fate::default()
            };
        }
        let is_slow = from == self.slow || to == self.slow;
        let slow = |chance: &mut Chance| match is_slow {
            true => chance.millis(profile.slow_ms),
            false => Duration::ZERO,
        };
        // Most messages are fast; a few are so slow that others overtake them.
        let takes = |chance: &mut Chance| match chance.permille(20) {
            true => chance.millis(20 * profile.delay_ms),
            false => chance.millis(profile.delay_ms),
        };
        let lost = chance.permille(profile.loss);
        Fate {
            ask_takes: takes(chance) + slow(chance),
            answer_takes: takes(chance) + slow(chance),
            chunk_takes: slow(chance) / 4,
            lost: lost.then(|| *chance.pick(&[Lost::Ask, Lost::Answer])),
            again_after: chance
                .permille(profile.doubled)
                .then(|| chance.millis(3_000)),
            goes_on: chance.permille(profile.goes_on),
        }
    }
}

impl Weather for SeededWeather {
    fn fate(&self, from: &str, to: &str, call: CallKind) -> Fate {
        let fate = self.draw(from, to);
        self.log.note(format_args!(
            "{from} > {to} {call:?} {:?}/{:?}{}{}",
            fate.ask_takes,
            fate.answer_takes,
            if fate.lost.is_some() { " lost" } else { "" },
            if fate.again_after.is_some() {
                " doubled"
            } else {
                ""
            },
        ));
        fate
    }
}
