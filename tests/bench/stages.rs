//! `make bench`: each stage by itself, over frames that the simulator wrote.
//!
//! `$KRX_FRAMES` names the frames file (`make frames` makes it).

#![allow(missing_docs, reason = "criterion's macros make items without docs")]

use std::path::PathBuf;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use krx_bench::{Frames, commit, decode, journal};

fn stages(criterion: &mut Criterion) {
    let Some(path) = std::env::var_os("KRX_FRAMES").map(PathBuf::from) else {
        eprintln!("KRX_FRAMES is not set: run `make bench`, which makes the frames file");
        return;
    };
    let frames = Frames::read(&path).expect("the frames file can be read");
    let mut group = criterion.benchmark_group("stages");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(frames.records));
    group.bench_function("decode", |bencher| bencher.iter(|| decode(&frames)));
    let dir = || tempfile::tempdir_in(".").expect("a directory can be made");
    group.bench_function("seal", |bencher| {
        bencher.iter_batched(
            dir,
            |dir| (commit(&frames, dir.path()).expect("committed"), dir),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("journal", |bencher| {
        bencher.iter_batched(
            dir,
            |dir| (journal(&frames, dir.path()).expect("journaled"), dir),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
