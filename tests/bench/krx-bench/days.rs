//! Trading days made up by the simulator, in a data directory as a recorder leaves it: through the journal's writer
//! and the exporter, with receive times of the day itself. No socket and no waiting: a day takes seconds.
//!
//! ```text
//!   Day ─▶ receive time ─▶ Writer ─▶ journal ─▶ Exporter ─▶ trades/, coverage/
//!            └──▶ gap: what falls into it is not received
//! ```

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{NaiveDate, NaiveTime};
use clap::Args;
use krx_calendar::Calendar;
use krx_simulator::{Day, DayMessage, HalfSecond, Universe};
use krx_store::journal::{GapReason, What};
use krx_store::{
    DataDir, DateRules, Entry, Event, ExportConfig, Exporter, FeedName, JournalConfig, Moment, Writer,
};
use serde_json::json;

/// When the recorder starts and connects, and when it stops, as with the schedule's defaults (seconds of the day).
const OPEN_S: i64 = 8 * 3600 + 20 * 60;
const CLOSE_S: i64 = 20 * 3600 + 10 * 60;
const SECOND_US: i64 = 1_000_000;

/// From the end of a half second to its first message, and between its messages; each is late by up to `JITTER_US`.
const FIRST_US: i64 = 2_000;
const NEXT_US: i64 = 150;
const JITTER_US: u64 = 140;

/// Messages that are journaled with one write.
const BATCH: usize = 256;

/// What `krx-bench days` is told.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The data directory; what is in it must not be of the same dates.
    data_dir: PathBuf,
    /// Trading days.
    #[arg(long, default_value_t = 20)]
    days: usize,
    /// The last of them.
    #[arg(long, default_value = "2026-11-20")]
    until: NaiveDate,
    /// Trades a day, of both markets together.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Trades of the last day.
    #[arg(long, default_value_t = 12_000_000)]
    records_last: u64,
    /// The first day's; each day has the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Length of the files' time partitions, minutes.
    #[arg(long, default_value_t = 5)]
    rotate_minutes: i64,
    /// A stretch without a session, DATE,MARKET,FROM,TO: 2026-11-20,KOSPI,10:00:30,10:02:00. Repeatable, in order.
    #[arg(long)]
    gap: Vec<Gap>,
    /// Write what was received to DIR too, one message a line: DIR/DATE-MARKET.jsonl.
    #[arg(long, value_name = "DIR")]
    messages: Option<PathBuf>,
}

/// A stretch in which nothing was received.
#[derive(Clone, Debug)]
struct Gap {
    date: NaiveDate,
    market: String,
    from: Moment,
    to: Moment,
}

impl FromStr for Gap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').collect();
        let [date, market, from, to] = parts[..] else {
            return Err("a gap is DATE,MARKET,FROM,TO".to_owned());
        };
        let date: NaiveDate = date.parse().map_err(|error| format!("{date}: {error}"))?;
        let moment = |text: &str| {
            let time: NaiveTime = text.parse().map_err(|error| format!("{text}: {error}"))?;
            Ok::<_, String>(at(date, (time - NaiveTime::MIN).num_microseconds().unwrap_or(0)))
        };
        Ok(Self {
            date,
            market: market.to_owned(),
            from: moment(from)?,
            to: moment(to)?,
        })
    }
}

/// Makes the days, and prints what was made as one JSON line.
pub(crate) fn days(options: &Options) -> Result<()> {
    let dates = &dates(options)?;
    let universe = &Universe::synthetic();
    if let Some(dir) = &options.messages {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("making {}", options.data_dir.display()))?;
    let start = Instant::now();
    let records: Vec<Result<u64>> = std::thread::scope(|scope| {
        let markets = krx_simulator::Market::ALL;
        let threads =
            markets.map(|market| scope.spawn(move || market_days(options, universe, market, dates)));
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a market's thread does not panic"))
            .collect()
    });
    let records: u64 = records.into_iter().sum::<Result<u64>>()?;
    let seconds = start.elapsed().as_secs_f64();
    let line = json!({
        "days": dates.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "records": records,
        "seconds": seconds,
        "records_per_second": records as f64 / seconds,
    });
    println!("{line}");
    Ok(())
}

/// The trading days, earliest first.
fn dates(options: &Options) -> Result<Vec<NaiveDate>> {
    let calendar = Calendar::default();
    let mut dates: Vec<NaiveDate> = std::iter::successors(Some(options.until), NaiveDate::pred_opt)
        .filter(|date| calendar.is_trading(*date))
        .take(options.days)
        .collect();
    dates.reverse();
    let last = dates.last().copied();
    ensure!(
        last == Some(options.until),
        "{} is no trading day: choose another for --until",
        options.until
    );
    Ok(dates)
}

fn market_days(
    options: &Options,
    universe: &Universe,
    market: krx_simulator::Market,
    dates: &[NaiveDate],
) -> Result<u64> {
    let mut records = 0;
    for (nth, &date) in (0..).zip(dates) {
        let trades = if Some(&date) == dates.last() {
            options.records_last
        } else {
            options.records
        };
        let day = Day::new(
            universe,
            market,
            options.seed + nth,
            universe.share(market, trades),
        );
        records += market_day(options, &market.name().parse()?, date, day)
            .with_context(|| format!("recording {market} on {date}"))?;
    }
    Ok(records)
}

/// Journals and exports one day of one market; gives the records that were received.
fn market_day(options: &Options, market: &FeedName, date: NaiveDate, mut day: Day) -> Result<u64> {
    let data = DataDir::new(&options.data_dir);
    let mut journaled = Journaled::begin(&data, market, date, options)?;
    let mut pace = Pace::new(date);
    while let Some(message) = day.next_message() {
        journaled.frame(pace.receive(&message), message)?;
    }
    let records = journaled.end()?;
    let config = ExportConfig {
        rotate_interval: rotate_interval(options),
        rows_max: ROWS_MAX,
        keep_days: 0,
        reserve_bytes: 0,
    };
    Exporter::new(&data, market, config, None, Arc::default()).run()?;
    Ok(records)
}

/// The rows with which a file ends, as by default.
const ROWS_MAX: u64 = 1_000_000;

fn rotate_interval(options: &Options) -> Duration {
    Duration::from_secs(options.rotate_minutes.max(1).unsigned_abs() * 60)
}

/// One day of one market on its way into the journal.
struct Journaled {
    writer: Writer,
    batch: Vec<Entry<Vec<u8>>>,
    date: NaiveDate,
    /// Those still to come, the next one last.
    gaps: Vec<Gap>,
    in_gap: bool,
    records: u64,
    messages: Option<BufWriter<File>>,
}

impl Journaled {
    fn begin(data: &DataDir, market: &FeedName, date: NaiveDate, options: &Options) -> Result<Self> {
        let config = JournalConfig {
            sync_interval: Duration::from_millis(50),
            segment_bytes: 64 << 20,
        };
        let rotate_us = i64::try_from(rotate_interval(options).as_micros())?;
        let rules = move |date| DateRules {
            expected: Some((at(date, OPEN_S * SECOND_US), at(date, CLOSE_S * SECOND_US))),
            rotate_us,
            rows_max: ROWS_MAX,
        };
        let of_day = |gap: &&Gap| gap.date == date && gap.market == market.as_str();
        let messages = |dir: &PathBuf| {
            let path = dir.join(format!("{date}-{market}.jsonl"));
            create(&path)
        };
        let mut journaled = Self {
            writer: krx_store::open_writer(data, market, config, Arc::default())?.with_rules(Box::new(rules)),
            batch: Vec::with_capacity(BATCH),
            date,
            gaps: options.gap.iter().filter(of_day).rev().cloned().collect(),
            in_gap: false,
            records: 0,
            messages: options.messages.as_ref().map(messages).transpose()?,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        journaled.event((OPEN_S - 60) * SECOND_US, Event::Start { version })?;
        journaled.connected(at(date, OPEN_S * SECOND_US + 80_000))?;
        Ok(journaled)
    }

    fn connected(&mut self, at: Moment) -> Result<()> {
        let url = "ws://127.0.0.1/".to_owned();
        self.entry(at, What::Event(Event::Connected { url }))
    }

    fn disconnected(&mut self, at: Moment, reason: GapReason) -> Result<()> {
        let detail = "simulated".to_owned();
        self.entry(at, What::Event(Event::Disconnected { reason, detail }))
    }

    fn frame(&mut self, received: Moment, message: DayMessage) -> Result<()> {
        self.pass_gaps(received)?;
        if self.in_gap {
            return Ok(());
        }
        self.records += u64::from(message.records);
        if let Some(file) = &mut self.messages {
            file.write_all(message.text.as_bytes())
                .and_then(|()| file.write_all(b"\n"))
                .context("writing the messages")?;
        }
        self.entry(received, What::Frame(message.text.as_bytes().to_vec()))
    }

    /// Journals the beginnings and ends of gaps up to `now`.
    fn pass_gaps(&mut self, now: Moment) -> Result<()> {
        while let Some(gap) = self.gaps.last().cloned() {
            if !self.in_gap && now > gap.from {
                self.disconnected(gap.from, GapReason::Reset)?;
                self.in_gap = true;
            }
            if !self.in_gap || now <= gap.to {
                break;
            }
            self.connected(gap.to)?;
            self.in_gap = false;
            self.gaps.pop();
        }
        Ok(())
    }

    fn event(&mut self, micros_of_day: i64, event: Event) -> Result<()> {
        self.entry(at(self.date, micros_of_day), What::Event(event))
    }

    fn entry(&mut self, at: Moment, what: What<Vec<u8>>) -> Result<()> {
        self.batch.push(Entry { at, what });
        if self.batch.len() >= BATCH {
            self.writer.append(&self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }

    fn end(mut self) -> Result<u64> {
        let close = at(self.date, CLOSE_S * SECOND_US);
        self.pass_gaps(close)?;
        if !self.in_gap {
            self.disconnected(close, GapReason::Shutdown)?;
        }
        self.event(CLOSE_S * SECOND_US, Event::SessionEnd)?;
        self.event((CLOSE_S + 1) * SECOND_US, Event::Stop)?;
        self.writer.append(&self.batch)?;
        self.writer.close()?;
        if let Some(file) = &mut self.messages {
            file.flush().context("writing the messages")?;
        }
        Ok(self.records)
    }
}

/// When messages are received: some milliseconds after the half second that they are of, one after another.
struct Pace {
    midnight: Moment,
    half_second: HalfSecond,
    next: Moment,
    /// Of a linear congruential generator (Knuth, MMIX): the same days again for the same options.
    state: u64,
}

impl Pace {
    fn new(date: NaiveDate) -> Self {
        Self {
            midnight: at(date, 0),
            half_second: HalfSecond::at(0, 0, 0),
            next: Moment::default(),
            state: 1,
        }
    }

    fn receive(&mut self, message: &DayMessage) -> Moment {
        if message.at != self.half_second {
            self.half_second = message.at;
            let since = message.at.since(HalfSecond::at(0, 0, 0)).as_micros();
            let due = self.midnight.0 + i64::try_from(since).unwrap_or(0) + FIRST_US;
            self.next = Moment(due.max(self.next.0));
        }
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let late = i64::try_from((self.state >> 33) % JITTER_US).unwrap_or(0);
        let received = Moment(self.next.0 + late);
        self.next.0 += NEXT_US;
        received
    }
}

fn at(date: NaiveDate, micros_of_day: i64) -> Moment {
    Moment(Moment::midnight(date).0 + micros_of_day)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
