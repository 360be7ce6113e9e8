//! The snapshot as Prometheus metrics. Each family is built afresh for each request: nothing is registered, and no
//! counter is kept twice. Names and units follow Prometheus's conventions; every value of a label is present from the
//! start, so that a first increase is seen as one.

use krx_protocol::Reason as QuarantineReason;
use krx_protocol::per_issue::RegistrationState;
use krx_store::coverage;
use krx_store::journal::{SyncCounts, Syncs};
use krx_store::lag::LagVerdict;
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::family::{counter, family, flag, gauge, gauges, label, one_gauge};
use super::snapshot::{FeedSnapshot, Snapshot, seconds};
use super::usage::Usage;
use crate::feed::feed_status::FeedState;

/// The content type of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text of all metrics.
pub(super) fn text(snapshot: &Snapshot, usage: &Usage) -> String {
    let mut text = Vec::new();
    let families = families(snapshot, usage);
    // The encoder refuses a family without a metric.
    let (some, none): (Vec<_>, Vec<_>) = families
        .into_iter()
        .partition(|family| !family.get_metric().is_empty());
    // It also fails if the writer does, which a vector never does.
    if let Err(error) = TextEncoder::new().encode(&some, &mut text) {
        tracing::error!(%error, "the metrics cannot be written");
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    // What no feed has is announced all the same: nobody then takes its name for a mistake.
    for family in none {
        let (name, help) = (family.name(), family.help());
        let kind = if family.get_field_type() == MetricType::COUNTER {
            "counter"
        } else {
            "gauge"
        };
        text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }
    text
}

fn families(snapshot: &Snapshot, usage: &Usage) -> Vec<MetricFamily> {
    let mut families = recorder(snapshot);
    families.extend(clock(snapshot));
    families.extend(feed(&snapshot.feeds));
    families.extend(registrations(&snapshot.feeds));
    families.extend(journal(&snapshot.feeds));
    families.extend(export(&snapshot.feeds));
    families.extend(gaps(&snapshot.feeds));
    families.extend(process(snapshot, usage));
    families
}

fn recorder(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let version = vec![label("version", &snapshot.version)];
    vec![
        gauges(
            "krx_build_info",
            "Always 1; the label is the recorder's version.",
            vec![gauge(version, 1.0)],
        ),
        one_gauge(
            "krx_healthy",
            "Whether all parts of the recorder work, as /healthz says.",
            flag(snapshot.complaint.is_none()),
        ),
        one_gauge(
            "krx_disk_free_bytes",
            "Bytes free for the recorder on the disk it records to.",
            snapshot.disk_free_bytes as f64,
        ),
        one_gauge(
            "krx_disk_warn_free_bytes",
            "disk.warn_free_bytes in the configuration.",
            snapshot.disk_warn_free_bytes as f64,
        ),
        one_gauge(
            "krx_disk_low",
            "Whether less than disk.warn_free_bytes is free.",
            flag(snapshot.disk_low),
        ),
    ]
}

/// What is not known has no series: that is neither 0 nor good.
fn clock(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let clock = snapshot.clock.as_ref();
    let known = |value: Option<f64>| value.map(|value| gauge(Vec::new(), value)).into_iter().collect();
    let of_feeds = || {
        let feeds = snapshot.feeds.iter();
        feeds.filter_map(|feed| feed.clock.as_ref().map(|of_feed| (&feed.feed, of_feed)))
    };
    let verdicts = of_feeds().flat_map(|(feed, of_feed)| {
        LagVerdict::ALL.into_iter().map(move |verdict| {
            let labels = vec![label("feed", feed), label("verdict", verdict.as_str())];
            gauge(labels, flag(of_feed.verdict == verdict.as_str()))
        })
    });
    let lags =
        of_feeds().filter_map(|(feed, of_feed)| Some(gauge(vec![label("feed", feed)], of_feed.lag_seconds?)));
    vec![
        gauges(
            "krx_clock_synchronised",
            "Whether the kernel says that its clock is kept in step with a source of time; absent when it does not say.",
            known(clock.and_then(|clock| clock.synchronised.map(flag))),
        ),
        gauges(
            "krx_clock_offset_seconds",
            "By how much the kernel is still putting its clock right; absent when not known.",
            known(clock.and_then(|clock| clock.offset_us.map(seconds))),
        ),
        gauges(
            "krx_clock_max_error_seconds",
            "The most that the clock may be off; absent when not known.",
            known(clock.and_then(|clock| clock.max_error_us.map(seconds))),
        ),
        family(
            "krx_clock_steps_total",
            "How often the clock was set, by a second or more.",
            MetricType::COUNTER,
            clock
                .map(|clock| counter(Vec::new(), clock.steps as f64))
                .into_iter()
                .collect(),
        ),
        gauges(
            "krx_clock_lag_max_seconds",
            "clock.lag_max in the configuration.",
            known(clock.map(|clock| clock.lag_max_seconds)),
        ),
        gauges(
            "krx_feed_clock",
            "1 for what the feed's records of today show of the clock, 0 for all others: early if they come before their \
             trades, late if they come later than clock.lag_max.",
            verdicts.collect(),
        ),
        gauges(
            "krx_feed_clock_lag_seconds",
            "How long after their trades the feed's records come, negative if before; absent when not known.",
            lags.collect(),
        ),
    ]
}

fn feed(feeds: &[FeedSnapshot]) -> Vec<MetricFamily> {
    let states = feeds.iter().flat_map(|feed| {
        FeedState::ALL.into_iter().map(|state| {
            let labels = vec![label("feed", &feed.feed), label("state", state.as_str())];
            gauge(labels, flag(feed.state == state.as_str()))
        })
    });
    vec![
        gauges(
            "krx_feed_state",
            "1 for the feed's current state, 0 for all others.",
            states.collect(),
        ),
        feed_gauges(
            "krx_session_expected",
            "Whether the feed should have a session now, by its schedule.",
            feeds,
            |feed| flag(feed.schedule.session_expected),
        ),
        feed_gauges(
            "krx_data_expected",
            "Whether trading is continuous now, by the calendar, so that the feed must be sending data.",
            feeds,
            |feed| flag(feed.schedule.data_expected),
        ),
        counters("krx_feed_sessions_total", "Sessions opened.", feeds, |feed| {
            f64::from(feed.sessions)
        }),
        counters(
            "krx_feed_frames_total",
            "Messages read from the server.",
            feeds,
            |feed| feed.frames_received as f64,
        ),
        counters(
            "krx_feed_received_bytes_total",
            "Bytes of messages read from the server.",
            feeds,
            |feed| feed.bytes_received as f64,
        ),
        feed_gauges(
            "krx_feed_last_frame_timestamp_seconds",
            "When the last message was read, heartbeats included; 0 before the first.",
            feeds,
            |feed| seconds(feed.last_frame_us),
        ),
        feed_gauges(
            "krx_feed_seconds_since_last_frame",
            "Seconds since the last message was read; NaN before the first.",
            feeds,
            |feed| feed.seconds_since_last_frame.unwrap_or(f64::NAN),
        ),
        feed_gauges(
            "krx_feed_queue_bytes",
            "Bytes between socket and journal; about 0 as long as the disk keeps up.",
            feeds,
            |feed| feed.queue_bytes as f64,
        ),
    ]
}

/// Of feeds with registrations only: of the others nothing is known, which is not 0.
fn registrations(feeds: &[FeedSnapshot]) -> Vec<MetricFamily> {
    let of_feeds = || {
        feeds
            .iter()
            .filter_map(|feed| feed.registrations.as_ref().map(|of_feed| (&feed.feed, of_feed)))
    };
    let states = of_feeds().flat_map(|(feed, of_feed)| {
        RegistrationState::ALL.into_iter().map(move |state| {
            let labels = vec![label("feed", feed), label("state", state.as_str())];
            gauge(labels, of_feed.count(state) as f64)
        })
    });
    let max = of_feeds().map(|(feed, of_feed)| gauge(vec![label("feed", feed)], of_feed.max as f64));
    vec![
        gauges(
            "krx_registrations",
            "Registrations that a per-issue feed wants, by their state; without a session all are requested.",
            states.collect(),
        ),
        gauges(
            "krx_registrations_max",
            "registrations_max in the configuration of a per-issue feed.",
            max.collect(),
        ),
    ]
}

fn journal(feeds: &[FeedSnapshot]) -> Vec<MetricFamily> {
    vec![
        counters(
            "krx_journal_frames_total",
            "Messages written to the journal.",
            feeds,
            |feed| feed.frames_journaled as f64,
        ),
        counters(
            "krx_journal_bytes_total",
            "Bytes of messages written to the journal.",
            feeds,
            |feed| feed.bytes_journaled as f64,
        ),
        syncs(feeds),
        counters(
            "krx_journal_renewals_total",
            "How often the disk refused a write or a sync, or a segment was removed, and the journal continued in \
             a new one.",
            feeds,
            |feed| feed.journal_renewals as f64,
        ),
        counters(
            "krx_journal_damage_total",
            "Stretches of the journal that could not be read.",
            feeds,
            |feed| feed.journal_damage as f64,
        ),
    ]
}

fn export(feeds: &[FeedSnapshot]) -> Vec<MetricFamily> {
    let reasons = feeds.iter().flat_map(|feed| {
        QuarantineReason::ALL.into_iter().map(|reason| {
            let count = feed.quarantined_by_reason.get(reason.as_str());
            let labels = vec![label("feed", &feed.feed), label("reason", reason.as_str())];
            counter(labels, count.copied().unwrap_or(0) as f64)
        })
    });
    vec![
        counters(
            "krx_records_total",
            "Records decoded, including quarantined ones and those from messages that an earlier run left in \
             the journal.",
            feeds,
            |feed| feed.records as f64,
        ),
        family(
            "krx_quarantined_total",
            "Records that went into quarantine, by reason.",
            MetricType::COUNTER,
            reasons.collect(),
        ),
        counters(
            "krx_oversized_batches_total",
            "Messages with more records than Koscom's guide allows.",
            feeds,
            |feed| feed.oversized_batches as f64,
        ),
        feed_gauges(
            "krx_export_frames_behind",
            "Messages in the journal that are not decoded yet.",
            feeds,
            |feed| feed.frames_behind as f64,
        ),
        feed_gauges(
            "krx_export_lag_seconds",
            "How long the oldest message that is not decoded yet has waited; 0 if there is none.",
            feeds,
            |feed| feed.lag_seconds,
        ),
        counters(
            "krx_files_committed_total",
            "Segments committed: each has one file of the primary dataset.",
            feeds,
            |feed| feed.files_committed as f64,
        ),
        counters(
            "krx_committed_rows_total",
            "Rows of committed files, without quarantine.",
            feeds,
            |feed| feed.rows_committed as f64,
        ),
        counters(
            "krx_committed_bytes_total",
            "Bytes of committed files.",
            feeds,
            |feed| feed.bytes_committed as f64,
        ),
    ]
}

fn gaps(feeds: &[FeedSnapshot]) -> Vec<MetricFamily> {
    let by_reason = |value: fn(krx_store::progress::GapSum) -> f64| {
        let of_feed = move |feed: &FeedSnapshot| {
            let gaps = feed.hidden.gaps.0.clone();
            let name = feed.feed.clone();
            coverage::Reason::of_gaps().map(move |reason| {
                let labels = vec![label("feed", &name), label("reason", reason.as_str())];
                counter(labels, value(gaps.get(&reason).copied().unwrap_or_default()))
            })
        };
        feeds.iter().flat_map(of_feed).collect::<Vec<_>>()
    };
    vec![
        family(
            "krx_gaps_total",
            "Gaps in the hours in which data is expected, by the reason they began with; those of this run, \
             including the one that its start ended.",
            MetricType::COUNTER,
            by_reason(|sum| sum.count as f64),
        ),
        family(
            "krx_gap_seconds_total",
            "Total length of these gaps, including one that is still open.",
            MetricType::COUNTER,
            by_reason(|sum| seconds(sum.us)),
        ),
        feed_gauges(
            "krx_date_gaps",
            "Gaps of the current date in Korea, by its ledger.",
            feeds,
            |feed| feed.gaps.count as f64,
        ),
        feed_gauges(
            "krx_date_gap_seconds",
            "Total length of the current date's gaps.",
            feeds,
            |feed| feed.gaps.seconds,
        ),
    ]
}

fn process(snapshot: &Snapshot, usage: &Usage) -> Vec<MetricFamily> {
    let plain = |name, help, value| one_gauge(name, help, value);
    vec![
        family(
            "process_cpu_seconds_total",
            "Processor time, user and system together.",
            MetricType::COUNTER,
            vec![counter(Vec::new(), usage.cpu_seconds)],
        ),
        plain(
            "process_resident_memory_bytes",
            "Resident memory.",
            usage.resident_bytes as f64,
        ),
        plain(
            "process_virtual_memory_bytes",
            "Address space.",
            usage.virtual_bytes as f64,
        ),
        plain(
            "process_open_fds",
            "Open files and sockets.",
            usage.open_files as f64,
        ),
        plain(
            "process_max_fds",
            "How many files and sockets may be open.",
            usage.open_files_max as f64,
        ),
        plain("process_threads", "Threads.", usage.threads as f64),
        plain(
            "process_start_time_seconds",
            "When the process started, since the Unix epoch.",
            seconds(snapshot.started_at.0.0),
        ),
    ]
}

fn syncs(feeds: &[FeedSnapshot]) -> MetricFamily {
    let of_feed = |feed: &FeedSnapshot| {
        let mut metric = Metric::from_label(vec![label("feed", &feed.feed)]);
        metric.set_histogram(feed.hidden.syncs.as_ref().map(histogram).unwrap_or_default());
        metric
    };
    family(
        "krx_journal_sync_duration_seconds",
        "How long fdatasync of the journal took, failed ones included.",
        MetricType::HISTOGRAM,
        feeds.iter().map(of_feed).collect(),
    )
}

fn histogram(counts: &SyncCounts) -> Histogram {
    let mut histogram = Histogram::default();
    let buckets = Syncs::BOUNDS.iter().zip(counts.up_to).map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound.as_secs_f64());
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.count);
    histogram.set_sample_sum(counts.sum.as_secs_f64());
    histogram
}

fn feed_gauges(
    name: &str,
    help: &str,
    feeds: &[FeedSnapshot],
    value: fn(&FeedSnapshot) -> f64,
) -> MetricFamily {
    let metric = |feed: &FeedSnapshot| gauge(vec![label("feed", &feed.feed)], value(feed));
    gauges(name, help, feeds.iter().map(metric).collect())
}

fn counters(name: &str, help: &str, feeds: &[FeedSnapshot], value: fn(&FeedSnapshot) -> f64) -> MetricFamily {
    let metric = |feed: &FeedSnapshot| counter(vec![label("feed", &feed.feed)], value(feed));
    family(
        name,
        help,
        MetricType::COUNTER,
        feeds.iter().map(metric).collect(),
    )
}
