//! What is shown of a feed while it is exported agrees with its files and its ledger, even after a restart.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::support::{
    NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, copy_tree, event, feed, files, frame, tree,
};
use krx_protocol::Reason;
use krx_store::coverage::{State, view};
use krx_store::journal::GapReason;
use krx_store::progress::{Gaps, seed};
use krx_store::{DataDir, Entry, Event, Exporter, Moment, Progress};

const MINUTE: i64 = 60 * SECOND;

/// A morning with a gap, and with something that is not a trade.
fn morning() -> Vec<Entry<Vec<u8>>> {
    let lost = Event::Disconnected {
        reason: GapReason::Reset,
        detail: "broken".into(),
    };
    vec![
        connected(NINE),
        frame(NINE + 1, &batch(3, 1)),
        frame(NINE + MINUTE, &batch(5, 2)),
        frame(NINE + MINUTE + 1, "garbage"),
        event(NINE + 2 * MINUTE, lost),
        connected(NINE + 3 * MINUTE),
        frame(NINE + 3 * MINUTE + 1, &batch(7, 3)),
    ]
}

/// Appends to the journal and closes it, like a recorder that is then killed.
fn write(dir: &std::path::Path, entries: &[Entry<Vec<u8>>], progress: &Arc<Progress>) {
    let mut writer = krx_store::open_writer(
        &DataDir::new(dir),
        &feed(),
        SMALL_SEGMENTS,
        Arc::clone(&progress.journal),
    )
    .unwrap();
    writer.append(entries).unwrap();
    writer.close().unwrap();
}

fn export(dir: &std::path::Path, progress: &Arc<Progress>) {
    let exporter = Exporter::new(
        &DataDir::new(dir),
        &feed(),
        config(60, 1000),
        None,
        Arc::clone(progress),
    );
    exporter.run().unwrap();
}

fn minutes(progress: &Progress, now: Moment) -> Vec<u32> {
    progress.day(now).minutes[9 * 60..9 * 60 + 5].to_vec()
}

#[test]
fn what_is_shown_is_what_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (data, now) = (DataDir::new(dir.path()), Moment(NINE + 5 * MINUTE));
    let progress = Arc::new(Progress::since(Moment(NINE)));
    write(dir.path(), &morning(), &progress);
    assert_eq!(progress.frames_behind(), 4);
    assert_eq!(progress.lag_us(now), 5 * MINUTE);
    export(dir.path(), &progress);

    assert_eq!((progress.frames_behind(), progress.lag_us(now)), (0, 0));
    assert_eq!(progress.records_decoded.load(Relaxed), 3 + 5 + 1 + 7);
    let quarantined: Vec<_> = progress.quarantined().filter(|(_, count)| *count > 0).collect();
    assert_eq!(quarantined, [(Reason::MalformedJson, 1)]);
    assert_eq!(minutes(&progress, now), [3, 6, 0, 7, 0]);
    let syncs = progress.journal.syncs.counts();
    assert!(syncs.count > 0 && !syncs.sum.is_zero(), "{syncs:?}");

    let day = progress.day(now);
    assert_eq!(day.date, now.date());
    // Nobody holds the lock, so from outside the recorder appears to have crashed.
    let seen = view(&data, &feed(), day.date, now).unwrap();
    let live = |state: &State| *state == State::Live;
    assert_eq!(day.intervals.len(), 4);
    assert_eq!(day.intervals[..3], seen[..3]);
    assert!(live(&day.intervals[3].state) && day.intervals[3].to == now);
    let rows: u64 = day.intervals.iter().map(|interval| interval.rows).sum();
    assert_eq!(rows, 16);

    // The gap from midnight to nine ended as the process started.
    let gap = &day.intervals[2];
    let gaps = progress.gaps(now);
    assert_eq!(gaps, Gaps::of(std::slice::from_ref(gap), Moment(0)));
    assert_eq!((gaps.total().count, gaps.total().us), (1, MINUTE));

    let names: Vec<_> = day.files.iter().map(|file| file.name.to_string()).collect();
    let mut on_disk: Vec<_> = files(&dir.path().join("trades"), "parquet")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    on_disk.reverse();
    assert_eq!(names, on_disk);
    assert_eq!(names.len(), 2, "the last minute is not over");
    assert_eq!((day.files[0].rows, day.files[0].quarantined), (5, 1));

    let tomorrow = Moment(now.0 + 24 * 60 * MINUTE);
    let next = progress.day(tomorrow);
    assert!(next.intervals.is_empty() && next.minutes.iter().all(|count| *count == 0));
    assert_eq!(next.files.len(), 2, "the last files stay");
}

#[test]
fn a_restart_within_the_date_shows_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, now) = (DataDir::new(dir.path()), Moment(NINE + 10 * MINUTE));
    let before = Arc::new(Progress::since(Moment(NINE)));
    write(dir.path(), &morning(), &before);
    export(dir.path(), &before);

    // A recorder that starts journals it a moment later.
    let progress = Arc::new(Progress::since(Moment(NINE + 5 * MINUTE - 1)));
    seed(&progress, &data, &feed(), now.date()).unwrap();
    // The two committed files, but not the frame that is left in the journal.
    assert_eq!(minutes(&progress, now), [3, 6, 0, 0, 0]);
    assert_eq!(progress.day(now).files.len(), 2);
    let start = Event::Start { version: "0".into() };
    let entries = [
        event(NINE + 5 * MINUTE, start),
        connected(NINE + 6 * MINUTE),
        frame(NINE + 6 * MINUTE + 1, &batch(2, 4)),
    ];
    write(dir.path(), &entries, &progress);
    assert_eq!(progress.frames_behind(), 2, "one of them of the run before");
    export(dir.path(), &progress);

    assert_eq!(minutes(&progress, now), [3, 6, 0, 7, 0]);
    assert_eq!(progress.day(now).minutes[9 * 60 + 6], 2);
    assert_eq!(progress.records_decoded.load(Relaxed), 7 + 2, "of this run");
    let day = progress.day(now);
    assert_eq!(
        day.intervals.iter().map(|interval| interval.rows).sum::<u64>(),
        18
    );
    // Those of the previous run stay in the ledger, but are not in this run's counters.
    let reasons = |gaps: &Gaps| gaps.0.keys().map(|reason| reason.as_str()).collect::<Vec<_>>();
    assert_eq!(
        reasons(&Gaps::of(&day.intervals, Moment(0))),
        ["not_running", "start", "reset", "crash"]
    );
    assert_eq!(reasons(&progress.gaps(now)), ["start", "crash"]);
}

#[test]
fn an_exporter_that_begins_anew_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let now = Moment(NINE + 5 * MINUTE);
    let progress = Arc::new(Progress::since(Moment(NINE)));
    write(dir.path(), &morning(), &progress);
    export(dir.path(), &progress);
    let (first, files) = (progress.records_decoded.load(Relaxed), tree(dir.path()));
    // The frame that is not committed is decoded again, as after a disk failure.
    export(dir.path(), &progress);
    assert_eq!(progress.records_decoded.load(Relaxed), first);
    assert_eq!(minutes(&progress, now), [3, 6, 0, 7, 0]);
    assert_eq!(tree(dir.path()), files);

    // None of the files is left: everything is decoded, but nothing is counted.
    let copy = tempfile::tempdir().unwrap();
    write(copy.path(), &morning(), &Arc::default());
    copy_tree(copy.path(), dir.path());
    std::fs::remove_dir_all(dir.path().join("trades")).unwrap();
    export(dir.path(), &progress);
    assert_eq!(progress.records_decoded.load(Relaxed), first);
}

#[test]
fn counters_of_gaps_never_fall() {
    let dir = tempfile::tempdir().unwrap();
    let progress = Arc::new(Progress::since(Moment(NINE)));
    let mut entries = morning();
    entries.truncate(5);
    write(dir.path(), &entries, &progress);
    export(dir.path(), &progress);
    let at = |minute: i64| progress.gaps(Moment(NINE + minute * MINUTE)).total();
    assert_eq!((at(4).count, at(4).us), (1, 2 * MINUTE));
    assert_eq!(at(3).us, 2 * MINUTE, "the clock was set back");
    // The next date begins, and the gap continues to its end.
    let midnight = 15 * 60;
    assert_eq!(at(midnight + 600).us, (midnight - 2) * MINUTE);
    write(
        dir.path(),
        &[connected(NINE + (midnight + 600) * MINUTE)],
        &progress,
    );
    export(dir.path(), &progress);
    let gaps = progress.gaps(Moment(NINE + (midnight + 601) * MINUTE));
    let of = |word: &str| {
        gaps.0
            .iter()
            .find(|(reason, _)| reason.as_str() == word)
            .unwrap()
            .1
            .us
    };
    // No recorder said that it continues, so the rest of the date counts as a crash.
    assert_eq!(of("not_running"), 600 * MINUTE);
    assert!(gaps.total().us >= (midnight - 2 + 600) * MINUTE);
}

#[test]
fn gaps_of_all_dates_of_a_run_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let progress = Arc::new(Progress::since(Moment(NINE)));
    let later = |entries: Vec<Entry<Vec<u8>>>, us: i64| -> Vec<Entry<Vec<u8>>> {
        let later = |entry: Entry<_>| Entry {
            at: Moment(entry.at.0 + us),
            ..entry
        };
        entries.into_iter().map(later).collect()
    };
    for day in 0..3 {
        write(dir.path(), &later(morning(), day * 24 * 60 * MINUTE), &progress);
        export(dir.path(), &progress);
        let gaps = progress.gaps(Moment(NINE + day * 24 * 60 * MINUTE + 5 * MINUTE));
        let mut resets = gaps.0.iter().filter(|(reason, _)| reason.as_str() == "reset");
        let sum = resets.next().unwrap().1;
        assert_eq!((sum.count, sum.us), (day.unsigned_abs() + 1, (day + 1) * MINUTE));
    }
}
