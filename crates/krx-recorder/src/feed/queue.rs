//! The only buffer between a socket and the journal: bounded in bytes, and empty as long as the disk keeps up. Its room
//! covers both what waits to be written and what is written but not known to be on disk: both are in memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use krx_store::journal::What;
use krx_store::{Entry, Event, Moment};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Bytes;
use tracing::warn;

use crate::watch::pause::{self, Clocks};

/// At the design load of 0.6 MB/s per feed this lasts more than a minute; a disk that hangs for half a minute costs
/// nothing.
const BYTES_MAX: usize = 64 << 20;

/// The room for the longest message that a configuration can allow.
const MESSAGE_ROOM: usize = (8 << 20) + ENTRY_BYTES;

/// The shortest wait for room that goes on record in the ledger.
const WAIT_MIN: Duration = Duration::from_millis(500);

/// What an entry takes in addition to its payload, so that a flood of empty messages is bounded too.
const ENTRY_BYTES: usize = 128;
const ENTRY_BYTES_U32: u32 = 128;

/// A frame or an event on its way to the journal.
pub(crate) type QueuedEntry = Entry<Bytes>;

/// What wakes the journal's thread.
#[derive(Debug)]
enum Item {
    Entry(QueuedEntry),
    /// More is on disk, and room is short.
    Synced,
}

/// The end that a feed writes to.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    /// Bytes waiting to be written.
    waiting: Arc<AtomicUsize>,
    /// The clocks when something was last put in, or could have been.
    clocks: Arc<Mutex<Clocks>>,
}

/// The end that the journal's thread reads from.
#[derive(Debug)]
pub struct QueueReader {
    receiver: mpsc::UnboundedReceiver<Item>,
    items: Vec<Item>,
    room: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Room held by entries that are written but not known to be on disk.
    held: usize,
    waker: RoomWaker,
}

/// Shows how full a queue is, without keeping it open.
#[derive(Clone, Debug)]
pub struct QueueGauge {
    waiting: Arc<AtomicUsize>,
}

impl QueueGauge {
    /// Bytes that wait for the journal or are being written to it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

/// Wakes the journal's thread when more is on disk, so that it releases the room that this frees.
#[derive(Clone, Debug)]
pub struct RoomWaker {
    sender: mpsc::WeakUnboundedSender<Item>,
    room: Arc<Semaphore>,
    bytes_max: usize,
}

impl RoomWaker {
    /// Call this when more is on disk. Wakes nobody while there is plenty of room.
    pub fn synced(&self) {
        if self.room.available_permits() < self.bytes_max / 2
            && let Some(sender) = self.sender.upgrade()
        {
            let _ = sender.send(Item::Synced);
        }
    }
}

/// The journal's thread has ended: nothing more can be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has stopped")]
pub struct JournalStopped;

/// A new queue of 64 MiB.
#[must_use]
pub fn queue() -> (Queue, QueueReader) {
    bounded(BYTES_MAX)
}

pub(crate) fn bounded(bytes_max: usize) -> (Queue, QueueReader) {
    // The channel itself is bounded, because every entry must reserve room before it is sent.
    let (sender, receiver) = mpsc::unbounded_channel();
    let (room, waiting) = (Arc::new(Semaphore::new(bytes_max)), Arc::default());
    let waker = RoomWaker {
        sender: sender.downgrade(),
        room: Arc::clone(&room),
        bytes_max,
    };
    (
        Queue {
            sender,
            room: Arc::clone(&room),
            waiting: Arc::clone(&waiting),
            clocks: Arc::new(Mutex::new(Clocks::now())),
        },
        QueueReader {
            receiver,
            items: Vec::new(),
            room,
            waiting,
            held: 0,
            waker,
        },
    )
}

fn entry_bytes(entry: &QueuedEntry) -> usize {
    ENTRY_BYTES
        + match &entry.what {
            What::Frame(payload) => payload.len(),
            What::Event(_) => 0,
        }
}

impl Queue {
    /// A gauge of how full it is.
    #[must_use]
    pub fn gauge(&self) -> QueueGauge {
        QueueGauge {
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// Puts in a frame; waits only while the buffer is full. A long wait is put on record after the frame, since
    /// nothing could be read during it.
    ///
    /// # Errors
    /// [`JournalStopped`].
    pub async fn frame(&self, at: Moment, payload: Bytes) -> Result<(), JournalStopped> {
        self.look_at_the_clocks();
        let asked = Instant::now();
        self.put(Entry {
            at,
            what: What::Frame(payload),
        })
        .await?;
        let waited = asked.elapsed();
        if waited < WAIT_MIN {
            return Ok(());
        }
        warn!(
            seconds = waited.as_secs_f64(),
            "the disk did not keep up, and nothing could be read from the server"
        );
        self.read_clocks();
        self.event(Event::DiskWait { since_us: at.0 }).await
    }

    /// Notes that the recorder is running. If it has not run since the last call, puts that on record, before any frame
    /// read after the pause.
    pub fn look_at_the_clocks(&self) {
        let (before, now) = self.read_clocks();
        if let Some(event) = pause::between(before, now) {
            if let Event::ClockStep { by_us } = event {
                let seconds = by_us.unsigned_abs() as f64 / 1e6;
                let direction = if by_us < 0 { "back" } else { "forward" };
                warn!(seconds, "the wall clock was set {direction}");
            } else {
                let seconds = now.uptime.saturating_sub(before.uptime).as_secs_f64();
                warn!(
                    seconds,
                    "the recorder did not run: it was stopped, or the machine was suspended"
                );
            }
            let at = now.wall;
            let entry = Entry {
                at,
                what: What::Event(event),
            };
            // It must come before what follows, so it cannot wait for room; without room, `disk` goes on record anyway.
            if let Ok(room) = self.room.try_acquire_many(ENTRY_BYTES_U32) {
                room.forget();
                let _ = self.send(entry);
            }
        }
    }

    fn read_clocks(&self) -> (Clocks, Clocks) {
        let now = Clocks::now();
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::replace(&mut *clocks, now), now)
    }

    /// Puts in an event.
    ///
    /// # Errors
    /// [`JournalStopped`].
    pub async fn event(&self, event: Event) -> Result<(), JournalStopped> {
        self.put(Entry {
            at: Moment::now(),
            what: What::Event(event),
        })
        .await
    }

    /// Whether anything waits for the journal.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Whether there may not be enough room for the next message.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room.available_permits() < MESSAGE_ROOM
    }

    async fn put(&self, entry: QueuedEntry) -> Result<(), JournalStopped> {
        let bytes = u32::try_from(entry_bytes(&entry)).unwrap_or(u32::MAX);
        self.room
            .acquire_many(bytes)
            .await
            .map_err(|_| JournalStopped)?
            .forget();
        self.send(entry)
    }

    /// Sends an entry whose room is reserved.
    fn send(&self, entry: QueuedEntry) -> Result<(), JournalStopped> {
        self.waiting.fetch_add(entry_bytes(&entry), Relaxed);
        self.sender.send(Item::Entry(entry)).map_err(|_| JournalStopped)
    }
}

/// Puts events into a queue, in order, for callers that must not wait while it is full.
#[derive(Debug)]
pub(crate) struct EventLane {
    sender: mpsc::UnboundedSender<Event>,
    /// Whether a time mark is waiting: one says as much as many.
    mark_waits: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl EventLane {
    /// A lane into `queue`. It holds at most one time mark, and whatever an operator has asked for.
    #[must_use]
    pub(crate) fn into(queue: Queue) -> Self {
        let (sender, mut events) = mpsc::unbounded_channel();
        let mark_waits = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let mark_waits = Arc::clone(&mark_waits);
            async move {
                while let Some(event) = events.recv().await {
                    let is_mark = event == Event::TimeMark;
                    if queue.event(event).await.is_err() {
                        return;
                    }
                    if is_mark {
                        mark_waits.store(false, Relaxed);
                    }
                }
            }
        });
        Self {
            sender,
            mark_waits,
            task,
        }
    }

    /// Puts in an event as soon as there is room, after all earlier ones.
    pub(crate) fn send(&self, event: Event) {
        if event == Event::TimeMark && self.mark_waits.swap(true, Relaxed) {
            return;
        }
        // This fails if the journal has stopped, which its own thread reports.
        let _ = self.sender.send(event);
    }

    /// Puts in the last event, and waits until all events are in the queue.
    pub(crate) async fn end(self, last: Event) {
        self.send(last);
        drop(self.sender);
        if self.task.await.is_err() {
            warn!("the task that journals events panicked: that is a bug, please report it");
        }
    }
}

impl QueueReader {
    /// Waits for entries, and moves up to `max` of them into `batch`. May move none, if it was woken because more is on
    /// disk. Returns `false` once every sender is gone.
    pub fn take(&mut self, batch: &mut Vec<QueuedEntry>, max: usize) -> bool {
        let any = self.receiver.blocking_recv_many(&mut self.items, max) > 0;
        batch.extend(self.items.drain(..).filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Synced => None,
        }));
        any
    }

    /// The waker to call when more is on disk.
    #[must_use]
    pub fn room_waker(&self) -> RoomWaker {
        self.waker.clone()
    }

    /// Entries waiting to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.receiver.len()
    }

    /// Call this once `batch` is in the journal, of which `unsynced_bytes` are not known to be on disk. Releases the
    /// room of the rest.
    pub fn journaled(&mut self, batch: &[QueuedEntry], unsynced_bytes: usize) {
        let bytes: usize = batch.iter().map(entry_bytes).sum();
        self.waiting.fetch_sub(bytes, Relaxed);
        let held = self.held + bytes;
        self.held = held.min(unsynced_bytes);
        self.room.add_permits(held - self.held);
    }
}

impl Drop for QueueReader {
    fn drop(&mut self) {
        // A feed waiting for room must not wait forever.
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn i5_a_full_queue_makes_the_feed_wait_and_loses_nothing() {
        let (queue, mut reader) = bounded(3 * (ENTRY_BYTES + 10));
        let frame = |byte: u8| Bytes::from(vec![byte; 10]);
        for byte in 0..3 {
            queue.frame(Moment(byte.into()), frame(byte)).await.unwrap();
        }
        let gauge = queue.gauge();
        assert_eq!(gauge.bytes(), 3 * (ENTRY_BYTES + 10));
        let fourth = queue.frame(Moment(3), frame(3));
        tokio::pin!(fourth);
        let wait = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(wait, &mut fourth).await.is_err(),
            "there is no room for a fourth"
        );
        let (reader, batch) = tokio::task::spawn_blocking(move || {
            let mut batch = Vec::new();
            assert!(reader.take(&mut batch, 2));
            reader.journaled(&batch, 0);
            (reader, batch)
        })
        .await
        .unwrap();
        assert_eq!(batch.iter().map(|entry| entry.at.0).collect::<Vec<_>>(), [0, 1]);
        fourth.await.unwrap();
        assert_eq!(gauge.bytes(), 2 * (ENTRY_BYTES + 10));
        drop(reader);
        assert_eq!(queue.frame(Moment(4), frame(4)).await, Err(JournalStopped));
    }

    /// What is written but not known to be on disk is still in memory, so it keeps its room.
    #[tokio::test]
    async fn i5_unsynced_entries_keep_their_room_and_a_sync_wakes_the_thread_that_releases_it() {
        let one = ENTRY_BYTES + 10;
        let (queue, mut reader) = bounded(2 * one);
        let waker = reader.room_waker();
        let frame = || queue.frame(Moment(0), Bytes::from_static(&[0; 10]));
        frame().await.unwrap();
        frame().await.unwrap();
        let batch = taken(&mut reader);
        reader.journaled(&batch, one);
        assert_eq!(queue.gauge().bytes(), 0, "nothing waits to be written");
        assert!(!queue.is_waiting());
        assert_eq!(queue.room.available_permits(), one);
        frame().await.unwrap();
        assert_eq!(queue.room.available_permits(), 0);
        let batch = taken(&mut reader);
        reader.journaled(&batch, 2 * one);
        waker.synced();
        let (mut reader, woken) = tokio::task::spawn_blocking(move || {
            let mut batch = Vec::new();
            let woken = reader.take(&mut batch, 2);
            assert!(batch.is_empty());
            (reader, woken)
        })
        .await
        .unwrap();
        assert!(woken);
        reader.journaled(&[], 0);
        assert_eq!(queue.room.available_permits(), 2 * one);
        waker.synced();
        assert!(reader.receiver.try_recv().is_err(), "there is plenty of room");
        drop(queue);
        waker.synced();
        assert!(reader.receiver.is_closed(), "the waker does not keep it open");
    }

    #[tokio::test]
    async fn events_keep_their_order_while_the_queue_is_full_and_the_last_one_stays_last() {
        let (queue, mut reader) = bounded(2 * ENTRY_BYTES);
        let full = |queue: &Queue| queue.room.available_permits() == 0;
        queue.event(Event::SessionEnd).await.unwrap();
        queue.event(Event::SessionEnd).await.unwrap();
        assert!(full(&queue));
        let lane = EventLane::into(queue.clone());
        lane.send(Event::TimeMark);
        lane.send(Event::CommitNow);
        lane.send(Event::TimeMark);
        let ending = tokio::spawn(lane.end(Event::Stop));
        drop(queue);
        let (seen, journaled) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut batch = Vec::new();
            while reader.take(&mut batch, 1) {
                reader.journaled(&batch, 0);
                batch.drain(..).for_each(|entry| seen.send(entry.what).unwrap());
            }
        });
        ending.await.unwrap();
        thread.join().unwrap();
        let events: Vec<_> = journaled.try_iter().skip(2).collect();
        let expected = [Event::TimeMark, Event::CommitNow, Event::Stop].map(What::Event);
        assert_eq!(events, expected, "a second time mark adds nothing");
    }

    /// Takes everything that waits, without releasing its room.
    fn taken(reader: &mut QueueReader) -> Vec<QueuedEntry> {
        let mut batch = Vec::new();
        while let Ok(Item::Entry(entry)) = reader.receiver.try_recv() {
            batch.push(entry);
        }
        batch
    }

    fn frame_of(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[tokio::test]
    async fn a_clock_change_and_a_pause_are_logged_in_seconds_and_put_on_record() {
        let (queue, mut reader) = bounded(10 * ENTRY_BYTES);
        let hour = Duration::from_secs(3600);
        let mut told = |before: Clocks| {
            *queue.clocks.lock().unwrap() = before;
            let line = crate::process::logging::logged(|| queue.look_at_the_clocks());
            (line, taken(&mut reader).pop().map(|entry| entry.what))
        };
        let now = Clocks::now();
        let wall = |by_us: i64| Moment(now.wall.0 + by_us);
        let hour_us = 3_600_000_000;
        for (before_us, words) in [
            (-hour_us, "the wall clock was set forward seconds=36"),
            (hour_us, "the wall clock was set back seconds=3"),
        ] {
            // Even if the next look comes late, this is not a pause.
            let before = Clocks {
                uptime: now.uptime + hour,
                wall: wall(before_us),
            };
            let (line, on_record) = told(before);
            assert!(line.contains(words), "{line}");
            let Some(What::Event(Event::ClockStep { by_us })) = on_record else {
                panic!("{on_record:?}")
            };
            assert!((by_us + before_us).abs() < 60_000_000, "{by_us}");
        }
        let before = Clocks {
            uptime: now.uptime.saturating_sub(hour),
            wall: wall(-hour_us),
        };
        let (line, on_record) = told(before);
        assert!(line.contains("the recorder did not run"), "{line}");
        let paused = What::Event(Event::Paused {
            since_us: before.wall.0,
        });
        assert_eq!(on_record, Some(paused));
    }

    #[tokio::test]
    async fn a_feed_waiting_for_room_learns_that_the_journal_has_stopped() {
        let (queue, reader) = bounded(ENTRY_BYTES + 10);
        queue.frame(Moment(0), frame_of(10)).await.unwrap();
        let waiting = tokio::spawn(async move { queue.frame(Moment(1), frame_of(1)).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "there is no room");
        drop(reader);
        let told = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert_eq!(told.expect("it waits forever").unwrap(), Err(JournalStopped));
    }

    /// Pretends that nothing was put in for ten seconds.
    fn was_paused(queue: &Queue) -> Moment {
        let mut clocks = queue.clocks.lock().unwrap();
        let ten = Duration::from_secs(10);
        *clocks = Clocks {
            uptime: clocks.uptime.checked_sub(ten).unwrap(),
            wall: Moment(clocks.wall.0 - 10_000_000),
        };
        clocks.wall
    }

    #[tokio::test]
    async fn a_pause_comes_before_the_frame_read_after_it_and_all_room_is_released() {
        let (queue, mut reader) = bounded(1 << 20);
        let gauge = queue.gauge();
        let since_us = was_paused(&queue).0;
        queue.frame(Moment(7), frame_of(100)).await.unwrap();
        queue.event(Event::TimeMark).await.unwrap();
        queue.frame(Moment(8), frame_of(0)).await.unwrap();
        assert_eq!(gauge.bytes(), 4 * ENTRY_BYTES + 100);
        assert!(queue.is_waiting());
        let batch = taken(&mut reader);
        let what: Vec<_> = batch.iter().map(|entry| entry.what.clone()).collect();
        assert_eq!(
            what,
            [
                What::Event(Event::Paused { since_us }),
                What::Frame(frame_of(100)),
                What::Event(Event::TimeMark),
                What::Frame(frame_of(0)),
            ]
        );
        reader.journaled(&batch[..2], 0);
        assert_eq!(gauge.bytes(), 2 * ENTRY_BYTES);
        reader.journaled(&batch[2..], 0);
        assert_eq!((gauge.bytes(), queue.is_waiting()), (0, false));
        assert_eq!(queue.room.available_permits(), 1 << 20, "no more than there was");
    }

    #[tokio::test]
    async fn a_wait_for_room_is_recorded_after_its_frame_and_is_not_a_pause() {
        let (queue, mut reader) = bounded(8 * ENTRY_BYTES);
        queue.frame(Moment(1), frame_of(7 * ENTRY_BYTES)).await.unwrap();
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.frame(Moment(5), frame_of(1)).await }
        });
        // Waiting longer would change nothing.
        tokio::time::sleep(WAIT_MIN + Duration::from_millis(100)).await;
        was_paused(&queue);
        let first = taken(&mut reader);
        assert_eq!(first.len(), 1);
        reader.journaled(&first, 0);
        waiting.await.unwrap().unwrap();
        queue.frame(Moment(6), frame_of(1)).await.unwrap();
        let what: Vec<_> = taken(&mut reader).into_iter().map(|entry| entry.what).collect();
        assert_eq!(
            what,
            [
                What::Frame(frame_of(1)),
                What::Event(Event::DiskWait { since_us: 5 }),
                What::Frame(frame_of(1)),
            ]
        );
    }

    #[tokio::test]
    async fn it_is_full_when_the_longest_message_may_not_fit() {
        let (queue, _reader) = bounded(MESSAGE_ROOM + ENTRY_BYTES);
        assert!(!queue.is_full());
        queue.event(Event::TimeMark).await.unwrap();
        assert!(!queue.is_full());
        queue.event(Event::TimeMark).await.unwrap();
        assert!(queue.is_full());
    }
}
