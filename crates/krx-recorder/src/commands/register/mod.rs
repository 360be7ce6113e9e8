//! `krx-recorder register`: changes the list of registrations of a feed, and has the running recorder read it.

mod replace;
mod running;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use krx_protocol::per_issue::{Instruments, Pair, Wish, WishGroup, WishList};
use krx_store::{DataDir, FeedName};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use crate::config::{self, Config, ConfigError, Draft, Edit, FeedService, PerIssueConfig, edit, odd_codes};
use crate::process::exit::Failure;
use crate::process::out;
use running::Holder;

/// What is to be changed.
#[derive(Debug, clap::Args)]
pub(super) struct Changes {
    /// The feed.
    #[arg(long, value_name = "NAME")]
    feed: FeedName,
    /// Register this, as in tick10:005930. May be given more than once, or with commas.
    #[arg(long, value_name = "PRESET:CODE", value_delimiter = ',', value_parser = config::parse_pair)]
    #[arg(required_unless_present = "remove")]
    add: Vec<Pair>,
    /// Register this no more. What is added too is replaced.
    #[arg(long, value_name = "PRESET:CODE", value_delimiter = ',', value_parser = config::parse_pair)]
    remove: Vec<Pair>,
    /// What kind of issue is added: stocks, derivatives or indices; default: indices for preset index, else stocks.
    #[arg(long, value_name = "KIND", value_parser = config::instruments_of)]
    instruments: Option<Instruments>,
    /// The fields that preset change is to send, such as trdPrc,accTrdvol.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    items: Vec<String>,
}

impl Changes {
    /// What is to be added, with its kind and its items.
    fn wishes(&self) -> Result<Vec<Wish>, Failure> {
        let wish = |pair: &Pair| config::wish(pair.clone(), self.instruments, self.items.clone());
        let wishes: Result<_, _> = self.add.iter().map(wish).collect();
        wishes.map_err(|words| Failure::Usage(format!("--add {words}")))
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    feed: FeedName,
    /// The list that was changed.
    file: PathBuf,
    /// Pairs that are on it now.
    added: Vec<String>,
    /// Pairs that are on it no more.
    removed: Vec<String>,
    /// Pairs to be added that it had, and pairs to be removed that it did not have.
    unchanged: Vec<String>,
    /// All registrations of the feed now, and how many it may have.
    wanted: usize,
    max: usize,
    /// The recorder that was told to read the list; `null` if none runs.
    process: Option<i32>,
    /// Codes that look wrong.
    remarks: Vec<String>,
}

/// Checks the changed list with all of the configuration, writes it, and has the recorder read it. `load` loads the
/// configuration at `config` with a draft of the list.
///
/// # Errors
/// [`Failure::Usage`], if the feed has no list, or what is to be removed is in the configuration itself;
/// [`Failure::Config`], if the configuration would be wrong; [`Failure::System`], if the list cannot be written or the
/// recorder not be told. Only if the message says so has anything changed.
pub(super) fn register(
    config: &Path,
    load: impl Fn(&Draft) -> Result<Config, ConfigError>,
    changes: &Changes,
    json: bool,
) -> Result<(), Failure> {
    let wishes = changes.wishes()?;
    let path = list_of(config, &changes.feed)?;
    // Two that change a list at the same time would each undo what the other did.
    let _one_at_a_time = lock(config)?;
    let before = text_of(&path)?;
    let edit = edit(before.as_deref().unwrap_or_default(), &wishes, &changes.remove);
    let draft = Draft {
        path: path.clone(),
        text: edit.text.clone(),
    };
    let checked = load(&draft).map_err(|error| {
        let words = "nothing is changed, because with this list the configuration would be wrong";
        ConfigError::invalid(words, error.to_string())
    })?;
    let registered = registered(&checked, &changes.feed)?;
    refuse_what_is_elsewhere(registered, &wishes, &changes.remove)?;
    let holder = running::find(&DataDir::new(&checked.data_dir))?;
    if before.as_deref() != Some(edit.text.as_str()) {
        replace::replace(&path, config, &edit.text).map_err(|source| Failure::System {
            doing: format!("writing {}", path.display()),
            source,
        })?;
    }
    let process = match &holder {
        Holder::Recorder(recorder) => Some(recorder.read_configuration(&path)?),
        Holder::Other(_) | Holder::Nobody => None,
    };
    let report = report(changes, &path, edit, &wishes, registered, process);
    out::print("printing what is changed", |out| {
        if json {
            let text = serde_json::to_string_pretty(&report).map_err(io::Error::other)?;
            return writeln!(out, "{text}");
        }
        out.write_all(words(&report, &holder).as_bytes())
    })
}

/// The list that a feed has.
fn list_of(config: &Path, feed: &FeedName) -> Result<PathBuf, Failure> {
    let feeds = config::register_files(config)?;
    let Some((_, file)) = feeds.iter().find(|(name, _)| name == feed) else {
        let names: Vec<_> = feeds.iter().map(|(name, _)| name.as_str()).collect();
        let have = match &names[..] {
            [] => "it has no per-issue feed".to_owned(),
            names => format!("its per-issue feeds: {}", names.join(", ")),
        };
        return Err(Failure::Usage(format!(
            "--feed {feed}: the configuration has no per-issue feed of this name; {have}"
        )));
    };
    file.clone().ok_or_else(|| {
        let words = format!(
            "feed {feed} has none, so there is no list to change; write, for instance, register_file = \
             \"{}-register.txt\" below its [[feed]]",
            feed.as_str().to_lowercase()
        );
        ConfigError::invalid("feed.register_file", words).into()
    })
}

/// Held while the list is changed.
fn lock(config: &Path) -> Result<File, Failure> {
    let locked = File::open(config).and_then(|file| {
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.map_err(|source| Failure::System {
        doing: format!("locking {}", config.display()),
        source,
    })
}

/// What the list contains; `None` if it does not exist.
fn text_of(path: &Path) -> Result<Option<String>, Failure> {
    match config::list_text(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::System {
            doing: format!("reading {}", path.display()),
            source,
        }),
    }
}

fn registered<'a>(config: &'a Config, feed: &FeedName) -> Result<&'a PerIssueConfig, Failure> {
    let mut feeds = config.feeds.iter().filter(|configured| configured.name == *feed);
    match feeds.next().map(|configured| &configured.service) {
        Some(FeedService::PerIssue(registered)) => Ok(registered),
        // The configuration was replaced since it was read first.
        _ => Err(Failure::Usage(format!(
            "--feed {feed}: the configuration has no per-issue feed of this name any more"
        ))),
    }
}

/// What a group lists cannot be removed here: people write the configuration.
fn refuse_what_is_elsewhere(
    registered: &PerIssueConfig,
    added: &[Wish],
    removed: &[Pair],
) -> Result<(), Failure> {
    let is_added = |pair: &Pair| added.iter().any(|wish| wish.pair == *pair);
    let stays = |pair: &&Pair| !is_added(pair) && registered.wishes.get(pair).is_some();
    let staying: Vec<_> = removed.iter().filter(stays).map(ToString::to_string).collect();
    if staying.is_empty() {
        return Ok(());
    }
    let (is, it) = if staying.len() == 1 {
        ("is", "it")
    } else {
        ("are", "them")
    };
    Err(Failure::Usage(format!(
        "--remove {}: nothing is changed, because {it} {is} listed in a [[feed.register]] of the configuration too; remove \
         {it} there, and send the recorder SIGHUP (systemctl reload krx-recorder)",
        staying.join(",")
    )))
}

fn report(
    changes: &Changes,
    path: &Path,
    edit: Edit,
    wishes: &[Wish],
    registered: &PerIssueConfig,
    process: Option<i32>,
) -> Report {
    let names = |pairs: Vec<Pair>| pairs.iter().map(ToString::to_string).collect();
    let group = |wish: &Wish| WishGroup {
        presets: vec![wish.pair.preset],
        codes: vec![wish.pair.code.clone()],
        instruments: wish.instruments,
        items: wish.items.clone(),
    };
    let groups: Vec<_> = wishes.iter().map(group).collect();
    Report {
        feed: changes.feed.clone(),
        file: path.to_owned(),
        added: names(edit.added),
        removed: names(edit.removed),
        unchanged: names(edit.unchanged),
        wanted: registered.wishes.len(),
        max: registered.registrations_max,
        process,
        // It was checked as a part of the whole list.
        remarks: WishList::of(&groups).map_or_else(|_| Vec::new(), |list| odd_codes(&list)),
    }
}

/// The report for a person.
fn words(report: &Report, holder: &Holder) -> String {
    let parts = [
        ("added", &report.added),
        ("removed", &report.removed),
        ("unchanged", &report.unchanged),
    ];
    let parts = parts.into_iter().filter(|(_, pairs)| !pairs.is_empty());
    let parts: Vec<_> = parts
        .map(|(what, pairs)| format!("{what} {}", pairs.join(", ")))
        .collect();
    let Report {
        feed, wanted, max, ..
    } = report;
    let mut text = format!("{feed}: {}; {wanted} of {max} registrations\n", parts.join("; "));
    for remark in &report.remarks {
        text += &format!("{remark}\n");
    }
    let file = report.file.display();
    text += &match holder {
        Holder::Recorder(recorder) => format!(
            "the recorder (process {}) reads {file} now; krx-recorder status shows what the server answers\n",
            recorder.number()
        ),
        Holder::Other(process) => format!(
            "process {process} holds the data directory and is not a recorder: {file} takes effect at the next start\n"
        ),
        Holder::Nobody => format!("no recorder is running: {file} takes effect at the next start\n"),
    };
    text
}

#[cfg(test)]
mod tests;
