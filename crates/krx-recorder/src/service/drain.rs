//! The end: what was received is exported and committed before the process exits.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::{mpsc, watch};
use tokio::time::interval;

use super::clock_log::ClockLog;
use super::housekeeping::Leaving;
use super::notify;
use crate::pipeline::{Pipeline, Threads};
use crate::process::exit::Failure;
use crate::process::signals::Request;
use crate::watch::liveness::LivenessReport;

/// How much more time the service manager is asked for in each second in which something was done.
const MORE_TIME: Duration = Duration::from_secs(60);

/// Ends each feed's journal, and waits until all of it is committed, and the rows of `clock` are written; then seals dates up to `over`, if there are any.
pub(super) async fn drain(
    pipelines: Vec<Pipeline>,
    clock_log: ClockLog,
    housekeeping: Leaving,
    over: Option<NaiveDate>,
    mut requests: mpsc::UnboundedReceiver<Request>,
    liveness: &watch::Sender<LivenessReport>,
) -> Result<(), Failure> {
    let (stop, progress) = (housekeeping.stop(), housekeeping.progress());
    let endings: Vec<_> = pipelines.iter().map(Pipeline::watch_ending).collect();
    let mut joined = tokio::task::spawn_blocking({
        let mut threads = Vec::new();
        for pipeline in pipelines {
            threads.push(pipeline.stop().await);
        }
        move || {
            if over.is_none() {
                housekeeping.stop().store(true, Relaxed);
            }
            let joined = threads.into_iter().map(Threads::join).fold(Ok(()), Result::and);
            clock_log.end();
            housekeeping.end(over.filter(|_| joined.is_ok()));
            joined
        }
    });
    let (mut second, mut done) = (interval(Duration::from_secs(1)), None);
    loop {
        tokio::select! {
            joined = &mut joined => {
                return joined.map_err(|error| Failure::Bug(format!("joining threads: {error}")))?;
            }
            Some(request) = requests.recv() => if request == Request::Stop {
                stop.store(true, Relaxed);
            },
            _ = second.tick() => {
                liveness.send_replace(LivenessReport::now(None));
                let sealed = progress.load(Relaxed);
                let now = endings.iter().fold(sealed, |sum, ending| sum.wrapping_add(ending.done()));
                // As long as there is progress, it gets the time it needs.
                if done.replace(now) != Some(now) {
                    notify::needs(MORE_TIME);
                    notify::alive();
                }
            }
        }
    }
}
