//! A race: many clients at different nodes work on few files at the same time while faults happen. Then everything
//! is healed, writes must succeed again within a minute, and the history of each file must be linearizable.
//!
//! It is another world than that of [`run`](crate::run::run) with the same seed: other parameters, other clients,
//! other checks. What a disk may hold and how layouts settle is judged there, not here.

pub mod racers;

use std::sync::Arc;
use std::time::Duration;

use dataverse_core::content::Digest;
use dataverse_core::key::Key;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::check::linearizable::{Judgement, Outcome, Requires, judge};
use crate::client::Door;
use crate::log::Log;
use crate::profile::Profile;
use crate::run::{Report, Run, simulated};
use racers::{Racers, Upload};

/// The number of operations that run at once. More make a history hard to judge, not the race harder to win.
const AT_ONCE_MAX: usize = 10;
/// How long a write may fail after everything is healed.
const PROGRESS: Duration = Duration::from_secs(60);
/// How long the nodes have to settle before the last reads.
const QUIET: Duration = Duration::from_secs(20);

/// What clients do, in cases of 100. The rest reads.
#[derive(Debug, Clone, Copy)]
struct Mix {
    /// Create the file if it is absent.
    creates: u64,
    /// Read the newest version and replace it if it is still that.
    swaps: u64,
    /// Write without a condition.
    puts: u64,
    /// Delete.
    deletes: u64,
    /// Delete on the condition that was read.
    takes: u64,
}

impl Mix {
    /// Everything.
    const MIXED: Self = Self {
        creates: 20,
        swaps: 25,
        puts: 15,
        deletes: 15,
        takes: 10,
    };

    /// What is decided with a condition, and what deletes.
    const CONDITIONAL: Self = Self {
        creates: 30,
        swaps: 35,
        puts: 0,
        deletes: 10,
        takes: 10,
    };

    /// What has no condition.
    const UNCONDITIONAL: Self = Self {
        creates: 0,
        swaps: 0,
        puts: 50,
        deletes: 20,
        takes: 0,
    };

    fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed, "mix");
        *chance.pick(&[
            Self::MIXED,
            Self::MIXED,
            Self::CONDITIONAL,
            Self::UNCONDITIONAL,
        ])
    }
}

/// Runs the race of a seed; prints every event if `prints` is true.
///
/// # Panics
/// When the runtime can't be created.
#[must_use]
pub fn race(seed: u64, prints: bool) -> Report {
    simulated(drive(seed, Profile::racing(seed), prints))
}

/// The same race on nodes that do not say that a write is pending, which breaks conditional writes.
///
/// # Panics
/// When the runtime can't be created.
#[must_use]
pub fn race_broken(seed: u64) -> Report {
    let profile = Profile {
        hides_pending_writes: true,
        ..Profile::racing(seed)
    };
    simulated(drive(seed, profile, false))
}

async fn drive(seed: u64, profile: Profile, prints: bool) -> Report {
    let log = Arc::new(Log::new(prints));
    let began = Instant::now();
    let run = Run::begin(seed, profile, Arc::clone(&log)).await;
    let racers = Racers::new(&run.world);
    let mut race = Race {
        mix: Mix::of(seed),
        run,
        racers: Arc::new(racers),
        uploads: 0,
    };
    log.note(format_args!("{:?}", race.mix));
    race.go().await;
    race.run.make_whole().await;
    race.run.look_after_disks().await;
    race.check_progress().await;
    tokio::time::sleep(QUIET).await;
    race.read_everywhere().await;
    let mut report = Report {
        seed,
        findings: Vec::new(),
        trace: log.trace(),
        simulated: began.elapsed(),
        acknowledged: race.acknowledged(),
        profile: race.run.profile.clone(),
        anomalies: Vec::new(),
        undecided: 0,
    };
    race.judge(&mut report);
    report.findings = race.run.world.findings.all();
    report
}

struct Race {
    mix: Mix,
    run: Run,
    racers: Arc<Racers>,
    uploads: u64,
}

impl Race {
    async fn go(&mut self) {
        self.run.world.weather.break_out();
        let mut pace = self.run.chance.clone();
        for _ in 0..self.run.profile.steps {
            // Two writes in one millisecond, one after the other at nodes that did not hear of each other, have
            // any order: that is as fine as clocks are.
            let pause = pace.millis(self.run.profile.pause_ms);
            tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
            while self.run.work.try_join_next().is_some() {}
            self.run.repair_some().await;
            if !self.run.fault().await {
                self.start_some();
            }
        }
        // All remaining work ends within its patience.
        while self.run.work.join_next().await.is_some() {}
    }

    /// A few clients begin at once, at different nodes if possible.
    fn start_some(&mut self) {
        let at = self.run.chance.below(self.run.keys.len() as u64) as usize;
        let key = self.run.keys[at].clone();
        for _ in 0..self.run.chance.between(1, 4) {
            let running = self.run.world.running();
            if running.is_empty() || self.run.work.len() >= AT_ONCE_MAX {
                return;
            }
            let at = *self.run.chance.pick(&running);
            let doors = [at, *self.run.chance.pick(&running)];
            let doors = doors.into_iter().filter_map(|at| self.run.door(at));
            let doors: Vec<Door> = doors.collect();
            let upload = self.upload();
            let client = Client {
                racers: Arc::clone(&self.racers),
                doors,
                key: key.clone(),
                upload,
                chance: Chance::of(self.run.chance.number(), "client"),
            };
            let mix = self.mix;
            self.run.work.spawn(client.act(mix));
        }
    }

    fn upload(&mut self) -> Upload {
        self.uploads += 1;
        let chance = &mut self.run.chance;
        Upload {
            number: self.uploads,
            size: match chance.below(10) {
                0 => chance.between(100 << 10, 400 << 10),
                1..4 => chance.between(16 << 10, 64 << 10),
                _ => chance.between(16, 16 << 10),
            },
            factor: chance.between(1, 3) as u32,
            pause: match chance.permille(300) {
                true => chance.millis(300),
                false => Duration::ZERO,
            },
            patience: match chance.permille(50) {
                true => chance.millis(1_000),
                false => Duration::MAX,
            },
        }
    }

    /// After everything is healed, a new file can be created at every node, and every file replaced.
    async fn check_progress(&mut self) {
        for at in self.run.world.running() {
            let Some(door) = self.run.door(at) else {
                continue;
            };
            let fresh = Key::parse(&format!("ada/fresh-{at}")).expect("it is a key");
            for key in self.run.keys.clone().into_iter().chain([fresh]) {
                let deadline = Instant::now() + PROGRESS;
                while !self.makes_progress(&door, &key).await {
                    if Instant::now() >= deadline {
                        self.run.wrong(format!(
                            "{}: {key} could be neither created nor replaced in {PROGRESS:?}",
                            door.driver.name()
                        ));
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn makes_progress(&mut self, door: &Door, key: &Key) -> bool {
        let upload = Upload {
            pause: Duration::ZERO,
            patience: Duration::MAX,
            ..self.upload()
        };
        let requires = match self.racers.read(door, key).await {
            Outcome::Found(digest) => Requires::Content(vec![digest]),
            Outcome::Missing => Requires::Absence,
            _ => return false,
        };
        let outcome = self.racers.write(door, key, upload, requires).await;
        matches!(outcome, Outcome::Done | Outcome::Unchanged)
    }

    /// Readers at all nodes see the same, and it is what the history says.
    async fn read_everywhere(&self) {
        for at in self.run.world.running() {
            let Some(door) = self.run.door(at) else {
                continue;
            };
            for key in &self.run.keys {
                self.racers.read(&door, key).await;
            }
        }
    }

    fn judge(&self, report: &mut Report) {
        for (key, history) in self.racers.histories() {
            match judge(&history) {
                Judgement::Linearizable => {}
                Judgement::Violated(violation) => {
                    report.anomalies.push(violation.anomaly);
                    self.run.wrong(format!("{key}: {violation}"));
                }
                Judgement::Undecided { .. } => report.undecided += 1,
            }
        }
    }

    fn acknowledged(&self) -> (usize, usize) {
        let histories = self.racers.histories();
        let writes = histories.values().flatten().filter(|it| it.is_write());
        let done = writes
            .clone()
            .filter(|it| matches!(it.outcome, Outcome::Done | Outcome::Unchanged));
        (done.count(), writes.count())
    }
}

/// One client and what it will write.
struct Client {
    racers: Arc<Racers>,
    /// The nodes it knows, the preferred one first.
    doors: Vec<Door>,
    key: Key,
    upload: Upload,
    chance: Chance,
}

impl Client {
    async fn act(mut self, mix: Mix) {
        let mut lot = self.chance.below(100);
        let mut falls_on = |share: u64| {
            let falls = lot < share;
            lot = lot.wrapping_sub(share);
            falls
        };
        if falls_on(mix.creates) {
            self.write(Requires::Absence).await;
        } else if falls_on(mix.swaps) {
            self.swap().await;
        } else if falls_on(mix.puts) {
            let requires = match self.chance.permille(100) {
                true if mix.swaps > 0 => Requires::Presence,
                _ => Requires::Nothing,
            };
            self.write(requires).await;
        } else if falls_on(mix.deletes) {
            let door = &self.doors[0];
            self.racers.delete(door, &self.key, Requires::Nothing).await;
        } else if falls_on(mix.takes) {
            if let Some(digest) = self.read().await {
                let requires = Requires::Content(vec![digest]);
                self.racers
                    .delete(&self.doors[0], &self.key, requires)
                    .await;
            }
        } else {
            self.read().await;
        }
    }

    async fn swap(&mut self) {
        if let Some(digest) = self.read().await {
            self.write(Requires::Content(vec![digest])).await;
        }
    }

    async fn read(&self) -> Option<Digest> {
        match self.racers.read(&self.doors[0], &self.key).await {
            Outcome::Found(digest) => Some(digest),
            _ => None,
        }
    }

    /// Writes the file. If it does not learn whether that happened, it may ask once more, perhaps another node.
    async fn write(&mut self, requires: Requires) {
        let (key, upload) = (self.key.clone(), self.upload);
        let door = &self.doors[0];
        let outcome = self
            .racers
            .write(door, &key, upload, requires.clone())
            .await;
        if outcome == Outcome::Unknown && requires != Requires::Nothing && self.chance.permille(500)
        {
            tokio::time::sleep(self.chance.millis(2_000)).await;
            let door = self.chance.pick(&self.doors);
            let again = Upload {
                patience: Duration::MAX,
                ..upload
            };
            self.racers.write(door, &key, again, requires).await;
        }
    }
}
