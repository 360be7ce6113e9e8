//! The tail: what the journal has beyond committed files is each record once, however far it is synced.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type};
use chrono::NaiveDate;
use krx_store::dataset::{Dataset, QUARANTINE};
use krx_store::journal::{Followed, Follower, Position};
use krx_store::service::{FULL_MARKET, PER_ISSUE, TRADES};
use krx_store::tail::{Extent, Synced, TailBatch, TailReader, Tailed, committed, schema_with_path};
use krx_store::{DataDir, Entry, Event, Exporter, FeedName, JournalConfig};

use crate::per_issue::{ROUNDS, issues, pushes, rows, subscribed};
use crate::support::{
    DAY, NINE, SECOND, SMALL_SEGMENTS, batch, config, connected, date, event, export, feed, frame, journal,
};

/// Everything that comes until there is no more: frames of each date, and rows.
#[derive(Debug, Default)]
struct Read {
    frames: BTreeMap<NaiveDate, Vec<(u64, u64)>>,
    batches: Vec<TailBatch>,
    behind: Vec<(NaiveDate, u64, u64)>,
    damage: Vec<String>,
}

impl Read {
    fn all(reader: &mut TailReader) -> Self {
        let mut read = Self::default();
        loop {
            match reader.advance().unwrap() {
                Tailed::Rows(rows) => {
                    let frames = read.frames.entry(rows.date).or_default();
                    frames.push((rows.first_frame, rows.last_frame));
                    read.batches.push(rows);
                }
                Tailed::Behind(date, first, last) => read.behind.push((date, first, last)),
                Tailed::Damaged(words) => read.damage.push(words),
                Tailed::CaughtUp => return read,
            }
        }
    }

    /// The first and the last frame of a date, which has all in between.
    fn span(&self, date: NaiveDate) -> Option<(u64, u64)> {
        let frames = self.frames.get(&date)?;
        for pair in frames.windows(2) {
            assert_eq!(pair[0].1 + 1, pair[1].0, "{frames:?}");
        }
        Some((frames.first()?.0, frames.last()?.1))
    }

    /// Each of these frames came, or was said to be in files.
    fn assert_all_told(&self, date: NaiveDate, first: u64, last: u64) {
        let [(of, from, to)] = self.behind[..] else {
            panic!("once: {:?}", self.behind)
        };
        assert_eq!(of, date);
        let mut frames = self.frames[&date].clone();
        frames.push((from, to));
        frames.sort_unstable();
        let ends = (frames[0].0, frames[frames.len() - 1].1);
        assert_eq!(ends, (first, last), "{frames:?}");
        let in_order = frames.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0);
        assert!(in_order, "{frames:?}");
    }

    fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.num_rows()).sum()
    }
}

/// A reader that begins after the files there are now.
fn begin(data: &DataDir, feed: &FeedName, dataset: Dataset, synced: Synced) -> TailReader {
    let after = committed(data, feed, dataset).unwrap();
    TailReader::open(data, feed, dataset, after, synced).unwrap()
}

/// A reader of a journal at rest that begins after a frame of the first date.
fn after_frame(data: &DataDir, frame: u64) -> TailReader {
    let after = BTreeMap::from([(date(), frame)]);
    TailReader::open(data, &feed(), &TRADES, after, Synced::AtRest).unwrap()
}

fn extent(data: &DataDir, after: &BTreeMap<NaiveDate, u64>, until: Option<Position>) -> Extent {
    let extent = Extent::of(data, &feed(), after, until, &|| true).unwrap();
    extent.expect("somebody wants to know")
}

fn joined(batches: &[RecordBatch]) -> Option<RecordBatch> {
    let schema = batches.first()?.schema();
    let all = arrow_select::concat::concat_batches(&schema, batches).unwrap();
    Some(all).filter(|all| all.num_rows() > 0)
}

fn entries() -> Vec<Entry<Vec<u8>>> {
    let mut entries = subscribed(NINE);
    for round in 0..ROUNDS {
        entries.extend(pushes(NINE + (round + 1) * SECOND, 71_000 + round));
        entries.push(frame(NINE + (round + 1) * SECOND, "no JSON"));
    }
    let next_day = NINE + DAY - 9 * 3600 * SECOND;
    for round in 0..ROUNDS {
        entries.extend(pushes(next_day + round * SECOND, 72_000 + round));
    }
    entries.push(event(next_day + 100 * SECOND, Event::Stop));
    entries
}

#[test]
fn rows_are_those_that_the_files_will_have() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let segments = JournalConfig {
        segment_bytes: 1 << 15,
        ..SMALL_SEGMENTS
    };
    let writer = krx_store::open_writer(&data, &issues(), segments, Arc::default()).unwrap();
    let mut writer = writer.of_service(&PER_ISSUE);
    for entry in entries() {
        writer.append(&[entry]).unwrap();
    }
    writer.close().unwrap();
    let datasets: Vec<_> = PER_ISSUE.datasets.iter().copied().chain([&QUARANTINE]).collect();
    let read: Vec<Read> = datasets
        .iter()
        .map(|dataset| {
            let mut reader = begin(&data, &issues(), dataset, Synced::AtRest);
            Read::all(&mut reader)
        })
        .collect();
    Exporter::new(&data, &issues(), config(300, 100), None, Arc::default())
        .run()
        .unwrap();
    for (dataset, read) in datasets.iter().zip(&read) {
        let found: Vec<_> = read.batches.iter().map(|batch| batch.rows.clone()).collect();
        assert_eq!(
            joined(&found),
            joined(&rows(dir.path(), dataset.name)),
            "{dataset}"
        );
        assert!(read.rows() > 0 || dataset.name == "derivative_quotes");
        assert_eq!(
            read.span(date()).unwrap().0,
            1,
            "{dataset}: frames count, with rows or not"
        );
        assert_eq!((read.frames.len(), read.behind.len()), (2, 0), "two dates");
        // Now everything is in files.
        let mut reader = begin(&data, &issues(), dataset, Synced::AtRest);
        assert_eq!(Read::all(&mut reader).rows(), 0);
    }
}

/// Where each frame of the journal ends.
fn ends(data: &DataDir) -> Vec<(Position, NaiveDate, u64)> {
    let mut follower = Follower::new(data.journal(&feed()), None);
    let mut ends = Vec::new();
    loop {
        match follower.advance().unwrap() {
            Followed::Record(name, head) => ends.push((follower.position().unwrap(), name.date, head.frame)),
            Followed::CaughtUp => return ends,
            _ => {}
        }
    }
}

/// Messages of three trades, a second apart, and a stop.
fn trades(count: i64) -> Vec<Entry<Vec<u8>>> {
    let mut entries = vec![connected(NINE)];
    for nth in 0..count {
        let text = batch(3, usize::try_from(nth).unwrap() + 1);
        entries.push(frame(NINE + nth * SECOND, &text));
    }
    entries.push(event(NINE + count * SECOND, Event::Stop));
    entries
}

#[test]
fn each_frame_comes_once_it_is_synced_and_never_before() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    journal(dir.path(), SMALL_SEGMENTS, &trades(120));
    let ends = ends(&data);
    assert!(
        ends.iter()
            .map(|(position, ..)| position.segment)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 3
    );
    let open = |synced| begin(&data, &feed(), &TRADES, synced);
    assert_eq!(Read::all(&mut open(Synced::Until(None))).rows(), 0);
    let mut following = open(Synced::Until(None));
    let (mut frames, mut rows) = (0, 0);
    for (position, date, frame) in &ends {
        let found = Read::all(&mut open(Synced::Until(Some(*position))));
        let expected = (*frame > 0).then_some((1, *frame));
        assert_eq!(
            (found.span(*date), found.rows() as u64),
            (expected, 3 * frame),
            "{position:?}"
        );
        // What it has is known before it is decoded.
        let extent = extent(&data, &BTreeMap::new(), Some(*position));
        let mut known = extent
            .frames
            .iter()
            .map(|of| (of.date, of.first_frame, of.last_frame));
        let last = found.batches.last().map(|batch| batch.last_recv);
        assert_eq!(
            known.next_back(),
            expected.map(|(first, last)| (*date, first, last))
        );
        assert_eq!(extent.frames.last().map(|of| of.last_recv), last);
        // One that goes on gets just what is new.
        following.synced_until(Some(*position));
        let new = Read::all(&mut following);
        assert_eq!(new.span(*date), (*frame > frames).then_some((frames + 1, *frame)));
        (frames, rows) = (*frame, rows + new.rows());
        // The position may be older than what is known.
        following.synced_until(Some(ends[0].0));
        assert_eq!(Read::all(&mut following).rows(), 0);
    }
    assert_eq!((frames, rows), (120, 360));
}

#[test]
fn it_begins_after_the_committed_files_and_says_what_went_to_files_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    journal(dir.path(), SMALL_SEGMENTS, &trades(60));
    let all = ends(&data);
    // A reader that is slow, and a journal that is exported and removed behind its back.
    let mut slow = begin(&data, &feed(), &TRADES, Synced::Until(Some(all[10].0)));
    assert_eq!(Read::all(&mut slow).span(date()), Some((1, 10)));
    export(dir.path(), config(300, 1_000_000));
    let mut new = begin(&data, &feed(), &TRADES, Synced::AtRest);
    assert_eq!(Read::all(&mut new).rows(), 0);
    // The recorder starts again: more frames, in new segments.
    let mut more = vec![connected(NINE + 100 * SECOND)];
    more.extend((0..5).map(|nth| frame(NINE + (101 + nth) * SECOND, &batch(2, 9))));
    journal(dir.path(), SMALL_SEGMENTS, &more);
    let mut new = begin(&data, &feed(), &TRADES, Synced::AtRest);
    let read = Read::all(&mut new);
    assert_eq!(
        (read.span(date()), read.rows(), read.behind.len()),
        (Some((61, 65)), 10, 0)
    );
    // A reader who has listed an older file is told what it lacks, and then gets what the journal has. So is one that was
    // slow; it may still hold the segment that it was reading.
    let mut behind = after_frame(&data, 40);
    let last = ends(&data).last().unwrap().0;
    slow.synced_until(Some(last));
    for (after, reader) in [(40, &mut behind), (10, &mut slow)] {
        Read::all(reader).assert_all_told(date(), after + 1, 65);
    }
    // One who knows more than the files gets just the rest.
    let mut rest = after_frame(&data, 63);
    assert_eq!(Read::all(&mut rest).span(date()), Some((64, 65)));
}

#[test]
fn one_that_is_overtaken_is_told_so_even_if_no_later_frame_may_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    journal(dir.path(), SMALL_SEGMENTS, &trades(60));
    let [a_few, more] = [10, 30].map(|nth: usize| ends(&data)[nth].0);
    let open = |until| begin(&data, &feed(), &TRADES, Synced::Until(Some(until)));
    let (mut never_read, mut begun) = (open(more), open(a_few));
    assert_eq!(Read::all(&mut begun).span(date()), Some((1, 10)));
    // Everything is committed, and all segments up to the one that may be read are removed.
    export(dir.path(), config(300, 1_000_000));
    journal(dir.path(), SMALL_SEGMENTS, &[connected(NINE + 100 * SECOND)]);
    let first = krx_store::catalog::segments(&data.journal(&feed())).unwrap()[0];
    assert!(first > more.segment, "{first} after {}", more.segment);
    begun.synced_until(Some(more));
    for (reader, reached) in [(&mut never_read, 0), (&mut begun, 10)] {
        // What it still has open it reads, and of the rest it says that it is in files.
        let read = Read::all(reader);
        assert_eq!(read.behind.len(), 1, "after {reached}: {read:?}");
        let frames = read.frames.get(&date()).cloned().unwrap_or_default();
        let mut told: Vec<_> = read.behind.iter().map(|(_, one, last)| (*one, *last)).collect();
        told.extend(frames);
        told.sort_unstable();
        assert_eq!(told[0].0, reached + 1);
        assert!(told.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{told:?}");
        assert!(told[told.len() - 1].1 >= 30, "{told:?}");
        assert_eq!(Read::all(reader).behind, [], "told once");
    }
}

#[test]
fn frames_without_rows_are_handed_on_before_they_are_many() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let mut entries = vec![connected(NINE)];
    entries.extend((0..150_000).map(|nth| frame(NINE + nth, &batch(1, 1))));
    let segments = JournalConfig {
        segment_bytes: 1 << 26,
        ..SMALL_SEGMENTS
    };
    let mut writer = krx_store::open_writer(&data, &feed(), segments, Arc::default()).unwrap();
    writer.append(&entries).unwrap();
    writer.close().unwrap();
    let mut reader = begin(&data, &feed(), &QUARANTINE, Synced::AtRest);
    let read = Read::all(&mut reader);
    assert_eq!((read.span(date()), read.rows()), (Some((1, 150_000)), 0));
    // Whoever takes them may have left meanwhile, and so may whoever only asks which there are.
    assert!(read.frames[&date()].len() > 1, "{:?}", read.frames);
    let until = ends(&data).last().map(|end| end.0);
    let left = Extent::of(&data, &feed(), &BTreeMap::new(), until, &|| false).unwrap();
    assert_eq!(left, None);
}

#[test]
fn a_file_that_is_there_before_its_commit_is_complete_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let mut entries = trades(5);
    entries.insert(3, frame(NINE + 2 * SECOND, "no JSON"));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    // A kill: the quarantine of the first frames is in its place, their trades are not.
    let copied = tempfile::tempdir().unwrap();
    let copy = DataDir::new(copied.path());
    std::fs::create_dir_all(copy.journal(&feed())).unwrap();
    for file in std::fs::read_dir(data.journal(&feed())).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.journal(&feed()).join(file.file_name())).unwrap();
    }
    export(dir.path(), config(300, 4));
    let [of_quarantine] = krx_store::catalog::files(&data, &QUARANTINE, &feed(), date()).unwrap()[..] else {
        panic!("one file has the piece")
    };
    let partition = |data: &DataDir| data.partition(&QUARANTINE, date(), &feed());
    std::fs::create_dir_all(partition(&copy)).unwrap();
    let name = of_quarantine.to_string();
    std::fs::copy(partition(&data).join(&name), partition(&copy).join(&name)).unwrap();
    // The piece is in the file and so not in the tail; the trades are in the tail and in no file.
    let all = |dataset| Read::all(&mut begin(&copy, &feed(), dataset, Synced::AtRest));
    let (quarantined, trades) = (all(&QUARANTINE), all(&TRADES));
    assert_eq!((quarantined.rows(), trades.rows()), (0, 15));
    assert_eq!(quarantined.span(date()), Some((of_quarantine.last_frame + 1, 6)));
    assert_eq!(trades.span(date()), Some((1, 6)));
}

#[test]
fn a_date_that_begins_after_the_tail_is_told_from_its_first_frame() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    journal(dir.path(), SMALL_SEGMENTS, &trades(10));
    let after = committed(&data, &feed(), &TRADES).unwrap();
    // It is midnight, and whole files come between two looks.
    let midnight = NINE + DAY - 9 * 3600 * SECOND;
    let of = |first: i64, count: i64| {
        let frames = (first..first + count).map(|nth| frame(midnight + nth * SECOND, &batch(2, 9)));
        let mut entries = vec![connected(midnight + first * SECOND)];
        entries.extend(frames);
        entries.push(event(midnight + (first + count) * SECOND, Event::Stop));
        entries
    };
    journal(dir.path(), SMALL_SEGMENTS, &of(0, 60));
    export(dir.path(), config(300, 1_000_000));
    journal(dir.path(), SMALL_SEGMENTS, &of(100, 5));
    let mut reader = TailReader::open(&data, &feed(), &TRADES, after, Synced::AtRest).unwrap();
    let mut read = Read::all(&mut reader);
    // Those of the first date went to files, too.
    assert_eq!(read.behind.pop(), Some((date(), 1, 10)));
    read.assert_all_told(date().succ_opt().unwrap(), 1, 65);
    // One who goes on after the first date's last frame has the frames of the second from where the journal begins.
    let until = ends(&data).last().map(|end| end.0);
    let extent = extent(&data, &BTreeMap::from([(date(), 10)]), until);
    let [of] = extent.frames[..] else {
        panic!("one date: {extent:?}")
    };
    assert_eq!((of.date, of.last_frame), (date().succ_opt().unwrap(), 65));
    assert!((2..=61).contains(&of.first_frame), "{extent:?}");
}

#[test]
fn rows_are_filtered_by_issue_and_have_the_columns_of_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let mut entries = trades(4);
    entries.push(frame(NINE + 9 * SECOND, &batch(2, 7).replace("005930", "00088K")));
    journal(dir.path(), SMALL_SEGMENTS, &entries);
    let mut reader = begin(&data, &feed(), &TRADES, Synced::AtRest);
    let schema = schema_with_path(&TRADES);
    let read = Read::all(&mut reader);
    let whole = &read.batches[0];
    assert_eq!(
        (whole.rows.num_rows(), whole.last_recv.0),
        (14, NINE + 9 * SECOND)
    );
    let some = whole
        .clone()
        .of_codes(&["00088K".to_owned(), "999999".to_owned()]);
    assert_eq!(
        (some.first_frame, some.last_frame, some.rows.num_rows()),
        (1, 5, 2)
    );
    let rows = some.with_path(&TRADES, &feed());
    assert_eq!(rows.schema(), schema);
    let column = |name: &str| rows.column_by_name(name).unwrap();
    assert_eq!(column("market").as_string::<i32>().value(1), "KOSPI");
    let days = column("date").as_primitive::<Date32Type>().value(0);
    assert_eq!(i64::from(days), (date() - NaiveDate::default()).num_days());
    assert_eq!(column("frame").as_primitive::<Int64Type>().value(0), 5);
    // A dataset of another service has no rows here.
    let mut other = begin(&data, &feed(), PER_ISSUE.datasets[0], Synced::AtRest);
    assert_eq!(Read::all(&mut other).rows(), 0);
    assert_eq!(FULL_MARKET.datasets.len(), 1);
}

#[test]
fn damage_is_told_and_a_journal_at_rest_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let segments = JournalConfig {
        segment_bytes: 1 << 15,
        ..SMALL_SEGMENTS
    };
    journal(dir.path(), segments, &trades(40));
    let place = ends(&data)[20].0;
    let path = data.journal(&feed()).join(place.segment.to_string());
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage", place.offset + 40).unwrap();
    let mut reader = begin(&data, &feed(), &TRADES, Synced::AtRest);
    let read = Read::all(&mut reader);
    assert_eq!(
        (read.rows(), read.behind.len(), read.damage.len()),
        (3 * 39, 0, 1),
        "{:?}",
        read.damage
    );
    assert!(
        read.damage[0].contains("is damaged in bytes"),
        "{:?}",
        read.damage
    );
    let until = ends(&data).last().map(|end| end.0);
    let extent = extent(&data, &BTreeMap::from([(date(), 30)]), until);
    assert_eq!(extent.damaged, read.damage);
    assert_eq!(
        (extent.frames[0].first_frame, extent.frames[0].last_frame),
        (31, 40)
    );
    // A recorder that begins now writes for others.
    let more = [
        connected(NINE + 100 * SECOND),
        frame(NINE + 101 * SECOND, &batch(2, 9)),
    ];
    journal(dir.path(), segments, &more);
    assert_eq!(Read::all(&mut reader).rows(), 0);
}

#[test]
fn what_a_recorder_adds_after_the_end_of_a_journal_at_rest_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    journal(dir.path(), SMALL_SEGMENTS, &trades(10));
    let mut reader = begin(&data, &feed(), &TRADES, Synced::AtRest);
    let Tailed::Rows(rows) = reader.advance().unwrap() else {
        panic!("there are rows")
    };
    assert_eq!((rows.first_frame, rows.last_frame), (1, 10));
    // A recorder starts before it is asked for more, and goes on all the time.
    for start in 1..4 {
        let at = NINE + 100 * start * SECOND;
        journal(
            dir.path(),
            SMALL_SEGMENTS,
            &[connected(at), frame(at + SECOND, &batch(2, 9))],
        );
        assert!(matches!(reader.advance().unwrap(), Tailed::CaughtUp));
    }
}
