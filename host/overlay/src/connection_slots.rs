//! Connection slots: bounds the incoming connections of a listener and decides which one closes when all slots are
//! taken.
//!
//! A connection that waits (for its first request, the rest of a request head, or the next request) gives up its slot
//! to a new connection; a connection with a request under way keeps it. So silent connections shut nobody out. When all
//! slots are in use, a few reserved ones may remain for requests that must always be answered. Nothing here knows
//! sockets or protocols: the server says when a request begins and ends, and closes the connection when told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often to check whether a waiting connection can give up its slot.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Checks of a connection while it may wait for a request head.
const LOOKS: u32 = 4;
/// Stands for a time that is not set.
const NEVER: u64 = u64::MAX;

/// The number of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Concurrent connections.
    pub connection_slots: usize,
    /// Additional connections, for requests that must always be answered.
    pub reserve: usize,
    /// A connection that has waited for less than this keeps an ordinary slot.
    pub spared: Duration,
}

/// The slots of one listener.
pub struct ConnectionSlots {
    bounds: Bounds,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    next: u64,
    ordinary: BTreeMap<u64, Arc<ConnectionActivity>>,
    reserved: BTreeMap<u64, Arc<ConnectionActivity>>,
}

/// The slot of one connection; freed when this is dropped.
pub struct ConnectionSlot {
    number: u64,
    is_reserved: bool,
    activity: Arc<ConnectionActivity>,
    connection_slots: Arc<ConnectionSlots>,
}

/// What a connection is doing.
pub struct ConnectionActivity {
    accepted: Instant,
    /// Requests under way.
    under_way: AtomicU32,
    /// When it began to wait and when the arriving head began, in milliseconds since it was accepted.
    waiting_since: AtomicU64,
    head_since: AtomicU64,
    /// HTTP/2: bytes between two requests need not be the beginning of a head.
    in_frames: AtomicBool,
    leave: CancellationToken,
}

/// A request under way; it ends when this is dropped.
pub struct UnderWay(Arc<ConnectionActivity>);

/// How long a connection may wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the whole head of a request; for the first one, counted from the beginning of the connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
}

impl ConnectionSlots {
    /// Slots within these bounds, all free.
    #[must_use]
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Waits for a slot. If all are taken, the connection that has waited longest is told to close.
    pub async fn take(self: &Arc<Self>) -> ConnectionSlot {
        loop {
            let freed = self.freed.notified();
            if let Some(slot) = self.try_take() {
                return slot;
            }
            tokio::select! {
                () = freed => {}
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let Bounds {
            connection_slots,
            reserve,
            spared,
        } = self.bounds;
        let mut taken = self.taken();
        let is_ordinary =
            taken.ordinary.len() < connection_slots || give_up_longest(&mut taken.ordinary, spared);
        let is_reserved = !is_ordinary
            && reserve > 0
            && (taken.reserved.len() < reserve
                || give_up_longest(&mut taken.reserved, Duration::ZERO));
        if !is_ordinary && !is_reserved {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let activity = Arc::new(ConnectionActivity::new());
        let list = match is_reserved {
            true => &mut taken.reserved,
            false => &mut taken.ordinary,
        };
        list.insert(number, Arc::clone(&activity));
        Some(ConnectionSlot {
            number,
            is_reserved,
            activity,
            connection_slots: Arc::clone(self),
        })
    }

    /// Tells the connection that has waited longest to close, because the system has no more sockets.
    pub fn give_up_one(&self) -> bool {
        give_up_longest(&mut self.taken().ordinary, Duration::ZERO)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }
}

/// Tells the connection to close that has waited longest, and at least `spared`; its slot counts as free.
fn give_up_longest(list: &mut BTreeMap<u64, Arc<ConnectionActivity>>, spared: Duration) -> bool {
    let waiting = list.iter().filter_map(|(number, activity)| {
        let waited = activity.waited()?;
        (waited >= spared).then_some((waited, *number))
    });
    let Some((_, number)) = waiting.max() else {
        return false;
    };
    if let Some(activity) = list.remove(&number) {
        activity.leave.cancel();
    }
    true
}

impl ConnectionSlot {
    /// Whether the slot is one of those reserved for requests that must always be answered.
    pub const fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// What its connection is doing.
    pub const fn activity(&self) -> &Arc<ConnectionActivity> {
        &self.activity
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = self.connection_slots.taken();
        let list = match self.is_reserved {
            true => &mut taken.reserved,
            false => &mut taken.ordinary,
        };
        list.remove(&self.number);
        drop(taken);
        self.connection_slots.freed.notify_waiters();
    }
}

impl ConnectionActivity {
    fn new() -> Self {
        Self {
            accepted: Instant::now(),
            under_way: AtomicU32::new(0),
            waiting_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            in_frames: AtomicBool::new(false),
            leave: CancellationToken::new(),
        }
    }

    /// A request has arrived, or at least its head.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(NEVER, Ordering::Release);
        UnderWay(Arc::clone(self))
    }

    /// Bytes arrived; they begin a head if no request is under way.
    pub fn heard(&self) {
        let may_begin = !self.is_busy() && !self.in_frames.load(Ordering::Acquire);
        if may_begin && self.head_since.load(Ordering::Acquire) == NEVER {
            self.head_since.store(self.now(), Ordering::Release);
        }
    }

    /// The connection speaks HTTP/2, in which pings and the like arrive at any time.
    pub fn speaks_in_frames(&self) {
        self.in_frames.store(true, Ordering::Release);
    }

    /// The client took bytes of an answer, so it is still there.
    pub fn took(&self) {
        self.waiting_since.store(self.now(), Ordering::Release);
    }

    /// Ends when the connection must close to make way for another one.
    pub async fn told_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// Cancelled when the connection must close to make way for another one.
    pub(crate) fn leave_token(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// Ends when the connection has waited longer than it may, give or take a `LOOKS`th of the time.
    pub async fn overdue(&self, patience: Patience) {
        loop {
            let now = Instant::now();
            // Changes in between are seen at the next check, so requests need not notify anybody.
            let look = now + patience.head / LOOKS;
            match self.due(patience) {
                Some(due) if due <= now => return,
                Some(due) => sleep_until(due.min(look)).await,
                None => sleep_until(look).await,
            }
        }
    }

    /// Ends when no request was under way for this long, counted from now.
    pub async fn quiet_for(&self, time: Duration) {
        self.took();
        self.head_since.store(NEVER, Ordering::Release);
        let patience = Patience {
            head: time,
            idle: time,
        };
        self.overdue(patience).await;
    }

    fn due(&self, patience: Patience) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        let head = self.head_since.load(Ordering::Acquire);
        let millis = match head {
            NEVER => {
                let since = Duration::from_millis(self.waiting_since.load(Ordering::Acquire));
                since + patience.idle
            }
            head => Duration::from_millis(head) + patience.head,
        };
        Some(self.accepted + millis)
    }

    fn waited(&self) -> Option<Duration> {
        let since = Duration::from_millis(self.waiting_since.load(Ordering::Acquire));
        (!self.is_busy()).then(|| self.accepted.elapsed().saturating_sub(since))
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    fn now(&self) -> u64 {
        self.accepted.elapsed().as_millis() as u64
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.took();
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARED: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(15),
        idle: Duration::from_secs(60),
    };

    fn connection_slots(connection_slots: usize, reserve: usize) -> Arc<ConnectionSlots> {
        ConnectionSlots::new(Bounds {
            connection_slots,
            reserve,
            spared: SPARED,
        })
    }

    fn is_told_to_leave(slot: &ConnectionSlot) -> bool {
        slot.activity.leave.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_makes_room() {
        let connection_slots = connection_slots(3, 0);
        let busy = connection_slots.take().await;
        let _request = busy.activity().begin();
        let silent = connection_slots.take().await;
        tokio::time::advance(SPARED).await;
        let later = connection_slots.take().await;
        let newest = connection_slots.take().await;
        assert!(is_told_to_leave(&silent));
        assert!(![&busy, &later, &newest].into_iter().any(is_told_to_leave));
        drop(silent);
        let beyond = tokio::time::timeout(SPARED / 2, connection_slots.take()).await;
        assert!(beyond.is_err(), "the others have not waited for long");
        drop(busy);
        connection_slots.take().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_for_the_last_to_come() {
        let connection_slots = connection_slots(1, 2);
        let ordinary = connection_slots.take().await;
        let _request = ordinary.activity().begin();
        let first = connection_slots.take().await;
        tokio::time::advance(Duration::from_millis(1)).await;
        let second = connection_slots.take().await;
        let third = connection_slots.take().await;
        assert!(
            [&first, &second, &third]
                .into_iter()
                .all(ConnectionSlot::is_reserved)
        );
        assert!(is_told_to_leave(&first) && !is_told_to_leave(&second));
        drop(ordinary);
        assert!(!connection_slots.take().await.is_reserved());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_to_arrive_in_time_however_it_comes() {
        let activity = Arc::new(ConnectionActivity::new());
        let began = Instant::now();
        let drip = async {
            loop {
                tokio::time::sleep(SPARED).await;
                activity.heard();
            }
        };
        tokio::select! {
            () = activity.overdue(PATIENCE) => {}
            () = drip => {}
        }
        assert_eq!(began.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
        let activity = Arc::new(ConnectionActivity::new());
        drop(activity.begin());
        let began = Instant::now();
        activity.overdue(PATIENCE).await;
        assert_eq!(began.elapsed().as_secs(), 60);
        let request = activity.begin();
        let busy = tokio::time::timeout(10 * PATIENCE.idle, activity.overdue(PATIENCE)).await;
        assert!(busy.is_err(), "a request takes as long as it takes");
        drop(request);
        activity.heard();
        let began = Instant::now();
        activity.overdue(PATIENCE).await;
        assert!(
            began.elapsed() <= 2 * PATIENCE.head,
            "{:?}",
            began.elapsed()
        );
    }
}
