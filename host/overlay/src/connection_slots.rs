//! ConnectionSlots for connections from others: how many there are, and who leaves when they are all taken.
//!
//! A connection that waits (for its first request, for the rest of a head, for the next request) gives its
//! place to whoever comes; one with a request under way keeps it. So connections that say nothing shut
//! nobody out. Where all places are in use some more may be kept in reserve, for what must always be
//! answered. Nothing here knows a socket or a protocol: whoever serves a connection says when a request
//! begins and ends, and ends it when it is told to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a connection waits whose place can be had.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Looks at a connection while it may wait for a head.
const LOOKS: u32 = 4;
/// In place of a time: there is none.
const NEVER: u64 = u64::MAX;

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once.
    pub connection_slots: usize,
    /// Beyond those, for what must always be answered.
    pub reserve: usize,
    /// Who waits for less than this keeps an ordinary place.
    pub spared: Duration,
}

/// All places of one listener.
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

/// A connection's place; free again when this is dropped.
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
    /// Since when it waits and when the head began that is arriving, in milliseconds since it was accepted.
    waiting_since: AtomicU64,
    head_since: AtomicU64,
    /// What arrives between two requests need not be the beginning of a head.
    in_frames: AtomicBool,
    leave: CancellationToken,
}

/// A request under way; it is over when this is dropped.
pub struct UnderWay(Arc<ConnectionActivity>);

/// How long a connection may wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the whole head of a request, the first one counted from the beginning of the connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
}

impl ConnectionSlots {
    /// ConnectionSlots within these bounds, all of them free.
    #[must_use]
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place, as soon as there is one. Whoever has waited longest is told to leave if need be.
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

    /// Has whoever waited longest leave, because the system has no more sockets to give.
    pub fn give_up_one(&self) -> bool {
        give_up_longest(&mut self.taken().ordinary, Duration::ZERO)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }
}

/// Tells the connection to leave that has waited longest, and for at least `spared`; its place counts as free.
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
    /// Whether it is one of those for what must always be answered.
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

    /// A request has arrived, its head at least.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(NEVER, Ordering::Release);
        UnderWay(Arc::clone(self))
    }

    /// Bytes arrived, which are the beginning of a head if no request is under way.
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

    /// Bytes of an answer were taken: its reader is there.
    pub fn took(&self) {
        self.waiting_since.store(self.now(), Ordering::Release);
    }

    /// Ends when the connection has to make room for another one.
    pub async fn told_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// Cancelled when the connection has to make room for another one.
    pub(crate) fn leave_token(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// Ends when the connection has waited for longer than may be, give or take [`LOOKS`].
    pub async fn overdue(&self, patience: Patience) {
        loop {
            let now = Instant::now();
            // What changes meanwhile is seen at the next look, so that no request has to tell of itself.
            let look = now + patience.head / LOOKS;
            match self.due(patience) {
                Some(due) if due <= now => return,
                Some(due) => sleep_until(due.min(look)).await,
                None => sleep_until(look).await,
            }
        }
    }

    /// Ends when nothing was under way for so long from now on.
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
    async fn whoever_waits_longest_makes_room() {
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
    async fn the_reserve_is_for_whoever_comes_last() {
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
