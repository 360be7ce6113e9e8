//! A year of sessions, and the effects of suspended machines and clocks that are set.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;

use chrono::{Datelike, NaiveDate};
use krx_calendar::Calendar;

use super::*;
use crate::hours::schedule::tests::{daily, kst};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;

/// The wall clock of a machine whose other clock is tokio's, which tokio advances by itself in a test. `set_us` is by
/// how much the wall clock was set, or advanced while the machine was suspended and the other clock stood still.
#[derive(Clone)]
struct SimulatedClock {
    begun: (Moment, Instant),
    set_us: Arc<AtomicI64>,
}

impl SimulatedClock {
    fn new(at: Moment) -> Self {
        Self {
            begun: (at, Instant::now()),
            set_us: Arc::default(),
        }
    }

    fn set(&self, by_us: i64) {
        self.set_us.fetch_add(by_us, Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Moment {
        let (at, begun) = self.begun;
        let passed = i64::try_from(begun.elapsed().as_micros()).unwrap();
        Moment(at.0 + passed + self.set_us.load(Relaxed))
    }
}

/// An exchange whose sessions last until the hours are over, as a feed's do, or for `lasts`.
struct Exchange {
    clock: SimulatedClock,
    schedule: watch::Receiver<Schedule>,
    lasts: Option<Duration>,
    asked: Asked,
    status: Arc<FeedStatus>,
    /// From and to.
    sessions: Vec<(Moment, Moment)>,
    hours_over: Vec<Moment>,
}

impl Sessions for Exchange {
    async fn session(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Ended, JournalStopped> {
        let (from, begun) = (self.clock.now(), Instant::now());
        self.status.set(FeedState::Live);
        let reason = loop {
            if self.schedule.borrow().at(self.clock.now()) != Hours::Open {
                break GapReason::Shutdown;
            }
            if self.lasts.is_some_and(|lasts| begun.elapsed() >= lasts) {
                break GapReason::ServerClosed;
            }
            tokio::select! {
                () = stopped(stop) => break GapReason::Shutdown,
                () = sleep(Duration::from_secs(20)) => {}
            }
        };
        self.sessions.push((from, self.clock.now()));
        Ok(Ended {
            end: End {
                asked: self.asked,
                ..End::new(reason, "")
            },
            data_for: Some(begun.elapsed()),
        })
    }

    async fn hours_over(&mut self) -> Result<(), JournalStopped> {
        self.hours_over.push(self.clock.now());
        Ok(())
    }

    fn status(&self) -> &FeedStatus {
        &self.status
    }

    fn feed(&self) -> &str {
        "KOSPI"
    }
}

/// A recorder that starts at a given time, and what it has done when it is stopped.
struct Simulation {
    clock: SimulatedClock,
    status: Arc<FeedStatus>,
    schedule: watch::Sender<Schedule>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<(FeedEnd, Exchange)>,
}

impl Simulation {
    fn begin(at: &str, until_close: bool, lasts: Option<Duration>) -> Self {
        Self::begin_asked(at, until_close, lasts, Asked::Nothing)
    }

    fn begin_asked(at: &str, until_close: bool, lasts: Option<Duration>, asked: Asked) -> Self {
        let clock = SimulatedClock::new(kst(at));
        let (schedule, stop) = (watch::Sender::new(daily(vec![])), watch::Sender::new(false));
        let status = Arc::new(FeedStatus::default());
        let mut exchange = Exchange {
            clock: clock.clone(),
            schedule: schedule.subscribe(),
            lasts,
            asked,
            status: Arc::clone(&status),
            sessions: Vec::new(),
            hours_over: Vec::new(),
        };
        let session_loop = SessionLoop {
            clock: clock.clone(),
            schedule: schedule.subscribe(),
            until_close,
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(15)),
            accepted: Arc::new(AtomicBool::new(true)),
            stop: stop.subscribe(),
        };
        let task = tokio::spawn(async move {
            let end = session_loop.run(&mut exchange).await.unwrap();
            (end, exchange)
        });
        Self {
            clock,
            status,
            schedule,
            stop,
            task,
        }
    }

    /// Lets time pass until the wall clock shows this.
    async fn until(&self, text: &str) {
        let until = kst(text);
        while self.clock.now() < until {
            sleep(Duration::from_secs(60)).await;
        }
    }

    async fn end(self) -> Exchange {
        self.stop.send_replace(true);
        let (end, exchange) = self.task.await.unwrap();
        assert_eq!(end, FeedEnd::Stopped);
        exchange
    }
}

/// How long after a time of its date a moment is.
fn behind(moment: Moment, hour: i64, minute: i64) -> i64 {
    moment.micros_of_day() - hour * HOUR_US - minute * MINUTE_US
}

#[tokio::test(start_paused = true)]
async fn in_a_year_each_trading_day_has_one_session_and_closed_days_have_none() {
    for year in [2026, 2027] {
        let simulation = Simulation::begin(&format!("{year}-01-01 00:00:00"), false, None);
        simulation.until(&format!("{}-01-01 00:00:00", year + 1)).await;
        let exchange = simulation.end().await;
        let calendar = Calendar::default();
        let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
        let trading: Vec<_> = first
            .iter_days()
            .take_while(|date| date.year() == year)
            .filter(|date| calendar.is_trading(*date))
            .collect();
        let recorded: Vec<_> = exchange.sessions.iter().map(|(from, _)| from.date()).collect();
        assert_eq!(recorded, trading);
        assert!((240..250).contains(&trading.len()), "{} days", trading.len());
        for (from, to) in &exchange.sessions {
            assert_eq!(from.date(), to.date());
            // On the exam day trading is an hour later, and perhaps the after-market too.
            let examination = to.date() == NaiveDate::from_ymd_opt(2026, 11, 19).unwrap()
                || to.date() == NaiveDate::from_ymd_opt(2027, 11, 18).unwrap();
            let close = if examination { 21 } else { 20 };
            assert!((0..MINUTE_US).contains(&behind(*from, 8, 20)), "{from:?}");
            assert!((0..MINUTE_US).contains(&behind(*to, close, 10)), "{to:?}");
        }
        let over: Vec<_> = exchange.hours_over.iter().map(|at| at.date()).collect();
        assert_eq!(over, trading);
    }
}

#[tokio::test(start_paused = true)]
async fn broken_sessions_are_reopened_but_only_within_the_hours() {
    let lasts = Some(Duration::from_secs(1200));
    let simulation = Simulation::begin("2026-11-19 00:00:00", false, lasts);
    simulation.until("2026-12-31 00:00:00").await;
    let exchange = simulation.end().await;
    let mut days: BTreeMap<NaiveDate, Vec<(Moment, Moment)>> = BTreeMap::new();
    for session in &exchange.sessions {
        days.entry(session.0.date()).or_default().push(*session);
    }
    assert_eq!(days.len(), 29);
    for (date, sessions) in days {
        assert!(Calendar::default().is_trading(date));
        assert!(behind(sessions[0].0, 8, 20) < MINUTE_US);
        assert!(
            sessions
                .windows(2)
                .all(|pair| pair[1].0.0 - pair[0].1.0 < MINUTE_US)
        );
        assert!(sessions.len() >= 35);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_during_the_hours_records_at_once() {
    for (begin, from) in [
        ("2026-11-20 13:37:00", "2026-11-20 13:37:00"),
        ("2026-11-20 20:09:30", "2026-11-20 20:09:30"),
        ("2026-11-20 20:10:00", "2026-11-23 08:20:00"),
        ("2026-11-21 13:37:00", "2026-11-23 08:20:00"),
    ] {
        let simulation = Simulation::begin(begin, false, None);
        simulation.until("2026-11-23 09:00:00").await;
        let exchange = simulation.end().await;
        assert!(
            (0..31_000_000).contains(&(exchange.sessions[0].0.0 - kst(from).0)),
            "{begin}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn until_close_means_one_session_whenever_it_starts() {
    for (begin, sessions) in [
        ("2026-11-20 07:00:00", 1),
        ("2026-11-20 12:00:00", 1),
        ("2026-11-20 21:00:00", 0),
        ("2026-11-21 12:00:00", 0),
        ("2026-12-25 09:00:00", 0),
    ] {
        let simulation = Simulation::begin(begin, true, None);
        let (end, exchange) = simulation.task.await.unwrap();
        assert_eq!(
            (end, exchange.sessions.len()),
            (FeedEnd::Closed, sessions),
            "{begin}"
        );
        assert!(simulation.clock.now() <= kst("2026-12-25 10:00:00"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_server_asked_for_ends_with_the_hours() {
    let patience = Asked::Patience(Some(Duration::from_secs(300)));
    let simulation = Simulation::begin_asked("2026-11-20 20:05:30", true, Some(Duration::ZERO), patience);
    let (end, exchange) = simulation.task.await.unwrap();
    assert_eq!((end, exchange.sessions.len()), (FeedEnd::Closed, 1));
    assert!(behind(simulation.clock.now(), 20, 10) < 1_000_000);
}

/// Asserts that at each instant it samples there is a session if and only if the wall clock is within the hours, except
/// for as long as one sleep may last.
async fn watch(simulation: &Simulation, until: &str) {
    let (mut wrong_since, until) = (None, kst(until));
    while simulation.clock.now() < until {
        let now = simulation.clock.now();
        let wanted = simulation.schedule.borrow().at(now) == Hours::Open;
        if (simulation.status.state() == FeedState::Live) == wanted {
            wrong_since = None;
        } else {
            let since = *wrong_since.get_or_insert_with(Instant::now);
            assert!(
                since.elapsed() <= SLEEP_MAX + Duration::from_secs(5),
                "{now:?}: a session is wanted: {wanted}"
            );
        }
        sleep(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_the_feed_is_on_time_within_half_a_minute() {
    // When, and for how many hours: across an opening, within a session, across a close, a night, several days.
    for (suspended, hours) in [
        ("2026-11-20 06:00:00", 3),
        ("2026-11-20 10:00:00", 2),
        ("2026-11-20 19:00:00", 5),
        ("2026-11-20 19:00:00", 110),
        ("2026-11-20 12:00:00", 70),
    ] {
        let simulation = Simulation::begin("2026-11-20 05:00:00", false, None);
        watch(&simulation, suspended).await;
        simulation.clock.set(hours * HOUR_US);
        watch(&simulation, "2026-11-25 22:00:00").await;
        let exchange = simulation.end().await;
        for pair in exchange.sessions.windows(2) {
            assert_ne!(
                pair[0].0.date(),
                pair[1].0.date(),
                "{suspended}: a session was opened twice"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn setting_the_clock_moves_the_sessions_with_it() {
    for (when, by_minutes) in [
        ("2026-11-20 08:00:00", 60),
        ("2026-11-20 08:21:00", -30),
        ("2026-11-20 12:00:00", -120),
        ("2026-11-20 12:00:00", 600),
        ("2026-11-20 20:15:00", -60),
        ("2026-11-21 12:00:00", 3 * 24 * 60),
        ("2026-11-23 09:00:00", -3 * 24 * 60),
    ] {
        let simulation = Simulation::begin("2026-11-20 05:00:00", false, None);
        watch(&simulation, when).await;
        simulation.clock.set(by_minutes * MINUTE_US);
        watch(&simulation, "2026-11-24 22:00:00").await;
        simulation.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_schedule_takes_effect_at_once() {
    let holiday = krx_calendar::Override {
        date: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(),
        hours: None,
        note: None,
    };
    let simulation = Simulation::begin("2026-11-20 05:00:00", false, None);
    watch(&simulation, "2026-11-20 09:00:00").await;
    simulation.schedule.send_replace(daily(vec![holiday]));
    watch(&simulation, "2026-11-20 12:00:00").await;
    assert_eq!(simulation.status.state(), FeedState::Waiting);
    simulation.schedule.send_replace(daily(vec![]));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(simulation.status.state(), FeedState::Live);
    let exchange = simulation.end().await;
    assert_eq!(exchange.sessions.len(), 2);
    assert_eq!(exchange.hours_over.len(), 1);
    assert!(Moment::midnight(exchange.hours_over[0].date()) > Moment(0));
}
