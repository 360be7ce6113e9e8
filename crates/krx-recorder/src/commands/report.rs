//! `krx-recorder report`: writes the page about a recorded date, or prints its figures as JSON.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use indicatif::{ProgressBar, ProgressStyle};
use krx_calendar::Calendar;
use krx_report::{RecordedDay, Verdict, page};
use krx_store::{DataDir, Moment};

use crate::config::DataConfig;
use crate::process::exit::Failure;
use crate::process::out;
use crate::status;

/// Examines `date`, and writes the page to `output` or prints the figures as JSON.
///
/// # Errors
/// [`Failure::NothingRecorded`] if nothing is known about the date; [`Failure::Store`] if it cannot be read;
/// [`Failure::System`] if the page cannot be written.
pub(super) fn report(
    config: &DataConfig,
    calendar: &Calendar,
    date: NaiveDate,
    output: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let data_dir = &config.data_dir;
    let data = DataDir::new(data_dir);
    let day = RecordedDay::find(&data, date)?.map_err(|dates| Failure::NothingRecorded {
        data_dir: data_dir.clone(),
        date: Some(date),
        dates,
    })?;
    let bar = progress_bar(|| day.rows())?;
    let version = env!("CARGO_PKG_VERSION");
    let facts = day.facts(calendar, version, config.lag_max, Moment::now(), &|rows| {
        bar.inc(rows);
    });
    bar.finish_and_clear();
    let facts = facts?;
    let printing = "printing the report";
    if json {
        return out::print(printing, |out| {
            let text = serde_json::to_string(&facts).map_err(io::Error::other)?;
            writeln!(out, "{text}")
        });
    }
    let default = PathBuf::from(format!("krx-report-{date}.html"));
    let output = output.unwrap_or(&default);
    let page = page(&facts, status::STYLE);
    if output == Path::new("-") {
        return out::print(printing, |out| out.write_all(page.as_bytes()));
    }
    put(output, &page).map_err(|source| Failure::System {
        doing: format!("writing {}; choose another place with --output", output.display()),
        source,
    })?;
    let Verdict { level, words, .. } = &facts.verdict;
    out::print(printing, |out| {
        writeln!(out, "{} {words}\n{}", level.mark(), output.display())
    })
}

/// A progress bar on a terminal, hidden elsewhere.
fn progress_bar(rows: impl FnOnce() -> Result<u64, krx_store::StoreError>) -> Result<ProgressBar, Failure> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {human_pos}/{human_len} records {per_sec} {eta}";
    let bar = ProgressBar::new(rows()?);
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    Ok(bar)
}

/// Writes a file. A link is followed; a pipe or device is written to, never replaced.
fn put(path: &Path, text: &str) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")),
        Ok(found) if found.is_file() => replace(&path.canonicalize()?, text),
        Ok(_) => File::options().write(true).open(path)?.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            Err(io::Error::new(error.kind(), "it is a broken link"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(path, text),
        Err(error) => Err(error),
    }
}

/// Replaces a file atomically: a reader sees the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it does not name a file"))?;
    let partial = path.with_file_name(format!(
        ".{}.{}.partial",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    });
    if written.is_err() {
        // An incomplete file is of no use.
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_put_in_place_completely_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        put(&path, "one").unwrap();
        put(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert!(put(folder.path(), "three").is_err());
        assert!(put(&folder.path().join("missing/report.html"), "four").is_err());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn links_and_pipes_are_written_to_and_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        put(&link, "one").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        fs::remove_file(&file).unwrap();
        assert!(put(&link, "two").is_err() && link.is_symlink() && !file.exists());

        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        put(&pipe, "three").unwrap();
        assert_eq!(reader.join().unwrap(), "three");
        assert!(!fs::metadata(&pipe).unwrap().is_file());
    }
}
