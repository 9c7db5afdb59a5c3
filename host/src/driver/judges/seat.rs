//! A seat: the place of whoever answers one kind of question, who can be replaced between two answers.
//!
//! A policy answers on a blocking thread, one question at a time, and none of the node's locks is held
//! meanwhile. Whoever finds it busy for longer than its wall-clock limit is answered by the baseline, which
//! is no fault. So is everybody while the policy is suspended. An instance that failed is thrown away, and
//! the next question gets a new one.
//!
//! A question that was put is answered to its end, even if nobody waits for the answer any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dataverse_core::policy::Fault;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::tenure::{Cost, Tenure};

/// What an instance of a policy tells of its last answers.
pub trait Priced: Send {
    /// What it has used up since this was last asked.
    fn take_cost(&mut self) -> Cost;
}

/// Makes a fresh instance of a policy, configured and knowing nothing.
pub type Maker<J> = Arc<dyn Fn() -> Result<Box<J>, Fault> + Send + Sync>;

/// Whoever answers, and what is noted of it.
pub struct Occupant<J: ?Sized> {
    make: Maker<J>,
    instance: Option<Box<J>>,
    tenure: Arc<Tenure>,
}

impl<J: ?Sized + Priced> Occupant<J> {
    /// A policy whose first instance is there already, if it is given.
    pub fn new(make: Maker<J>, instance: Option<Box<J>>, tenure: Arc<Tenure>) -> Self {
        Self {
            make,
            instance,
            tenure,
        }
    }
}

/// The place of whoever answers; the baseline does as long as nobody sits there.
pub struct Seat<J: ?Sized> {
    occupant: Arc<Mutex<Option<Occupant<J>>>>,
    is_taken: AtomicBool,
    /// The occupant is being made familiar with things and answers nothing meanwhile.
    is_settling: Arc<AtomicBool>,
    wait_ms: AtomicU64,
    left: Arc<OnceLock<Departure>>,
}

/// What is to be done when an instance goes.
type Departure = Box<dyn Fn() + Send + Sync>;

/// An answer and what was wrong with the policy, if the baseline gave it in its stead.
pub(super) struct Answered<T> {
    pub(super) value: T,
    pub(super) fault: Option<Fault>,
}

impl<J: ?Sized> Default for Seat<J> {
    fn default() -> Self {
        Self {
            occupant: Arc::default(),
            is_taken: AtomicBool::new(false),
            is_settling: Arc::default(),
            wait_ms: AtomicU64::new(0),
            left: Arc::default(),
        }
    }
}

impl<J: ?Sized + Priced + 'static> Seat<J> {
    /// Says once what is to be done whenever an instance goes.
    pub(super) fn when_left(&self, departure: impl Fn() + Send + Sync + 'static) {
        // A seat belongs to one node, which says this when it starts.
        let _ = self.left.set(Box::new(departure));
    }

    /// Lets someone else answer, from the next question on. `None` is the baseline.
    pub async fn take(&self, next: Option<Occupant<J>>) {
        let mut occupant = self.occupant.lock().await;
        if let Some(next) = &next {
            let wait_ms = next.tenure.wall_ms();
            self.wait_ms.store(wait_ms, Ordering::Relaxed);
        }
        self.is_taken.store(next.is_some(), Ordering::Release);
        *occupant = next;
        depart(&self.left);
    }

    /// Puts a question. It is called with the policy, or with `None` when the baseline is to answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Option<&mut J>) -> Answered<T> + Send + 'static,
    ) -> T {
        let Some(seated) = self.free().await else {
            return question(None).value;
        };
        self.put(seated, question).await
    }

    /// Makes the occupant familiar with what there is, before it is asked anything. Questions are answered
    /// by the baseline meanwhile.
    pub(super) async fn settle_in(
        &self,
        introduction: impl FnOnce(Option<&mut J>) -> Answered<()> + Send + 'static,
    ) {
        let Some(seated) = self.free().await else {
            return;
        };
        self.is_settling.store(true, Ordering::Release);
        let settling = Settling(Arc::clone(&self.is_settling));
        let introduced = move |judge: Option<&mut J>| {
            let _ends_with_it = settling;
            introduction(judge)
        };
        self.put(seated, introduced).await;
    }

    async fn put<T: Send + 'static>(
        &self,
        mut seated: OwnedMutexGuard<Option<Occupant<J>>>,
        question: impl FnOnce(Option<&mut J>) -> Answered<T> + Send + 'static,
    ) -> T {
        let left = Arc::clone(&self.left);
        let answering = tokio::task::spawn_blocking(move || match &mut *seated {
            Some(occupant) => occupant.answer(question, &left),
            None => question(None).value,
        });
        match answering.await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it whoever waits here.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// The occupant, when it can be asked now.
    async fn free(&self) -> Option<OwnedMutexGuard<Option<Occupant<J>>>> {
        if !self.is_taken.load(Ordering::Acquire) || self.is_settling.load(Ordering::Acquire) {
            return None;
        }
        let wait = Duration::from_millis(self.wait_ms.load(Ordering::Relaxed));
        let free = Arc::clone(&self.occupant).lock_owned();
        let seated = tokio::time::timeout(wait, free).await.ok()?;
        let may = seated.as_ref().is_some_and(|it| it.tenure.may_decide());
        may.then_some(seated)
    }
}

impl<J: ?Sized + Priced> Occupant<J> {
    fn answer<T>(
        &mut self,
        question: impl FnOnce(Option<&mut J>) -> Answered<T>,
        left: &OnceLock<Departure>,
    ) -> T {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => match (self.make)() {
                Ok(made) => {
                    depart(left);
                    none.insert(made)
                }
                Err(fault) => {
                    self.tenure.note(Some(&fault), Cost::default());
                    return question(None).value;
                }
            },
        };
        let Answered { value, fault } = question(Some(instance));
        let cost = instance.take_cost();
        let trouble = self.tenure.note(fault.as_ref(), cost);
        if trouble || fault.is_some_and(|fault| fault.kind.ends_instance()) {
            self.instance = None;
            depart(left);
        }
        value
    }
}

fn depart(left: &OnceLock<Departure>) {
    if let Some(departure) = left.get() {
        departure();
    }
}

/// While it lives, the occupant is settling in.
struct Settling(Arc<AtomicBool>);

impl Drop for Settling {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
