//! `[log]`: where the log goes, and what it contains.

use tracing_subscriber::filter::{ParseError, Targets};

use super::file;
use super::problem::{ConfigError, Problems};

/// Where the log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// To the systemd journal if standard error goes there, as under systemd; otherwise to standard error.
    #[default]
    Auto,
    /// To standard error.
    Stderr,
    /// To the systemd journal.
    Journald,
}

/// What to log, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Where to log.
    pub target: Target,
    /// What to log unless `$KRX_LOG` says; checked.
    pub filter: Option<String>,
}

/// The filter that `text` describes. It names only what exists: a word that is not a level would count as a module, and silence all
/// others.
///
/// # Errors
/// What is wrong, as a sentence.
pub(crate) fn filter_of(text: &str) -> Result<Targets, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let directives: Vec<_> = text.split(',').map(str::trim).collect();
    for directive in &directives {
        let target = directive.split('=').next().unwrap_or_default();
        let is_level = LEVELS.iter().any(|level| directive.eq_ignore_ascii_case(level));
        let is_part = target.starts_with("krx_") && !target.contains(['-', '[', ' ']);
        if !is_level && !is_part {
            return Err(format!(
                "{directive:?} is neither a level ({}) nor a module such as krx_store=debug",
                LEVELS.join(", ")
            ));
        }
    }
    let filter = directives.join(",").parse();
    filter.map_err(|error: ParseError| error.to_string())
}

/// The checked table, if all of it is good.
pub(super) fn check_log(table: file::Log, problems: &mut Problems) -> Option<LogConfig> {
    let filter = match &table.filter {
        Some(filter) => filter_of(filter).map(drop).map_err(|error| {
            let problem =
                format!("{filter:?} is not a filter such as \"info\" or \"krx_store=debug,info\": {error}");
            ConfigError::invalid("log.filter", problem)
        }),
        None => Ok(()),
    };
    let filter = problems.take(filter);
    let target = match table.target.as_str() {
        "auto" => Ok(Target::Auto),
        "stderr" => Ok(Target::Stderr),
        "journald" => Ok(Target::Journald),
        other => {
            let problem = format!("{other:?} must be \"auto\", \"stderr\" or \"journald\"");
            Err(ConfigError::invalid("log.target", problem))
        }
    };
    let target = problems.take(target);
    filter?;
    Some(LogConfig {
        target: target?,
        filter: table.filter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_everything_is_refused() {
        for good in [
            "info",
            "WARN",
            "krx_store=debug,info",
            "krx_store=debug, info",
            "krx_recorder::feed=trace",
            "off",
        ] {
            assert!(filter_of(good).is_ok(), "{good}");
        }
        for bad in [
            "inof",
            "",
            "krx-store=debug",
            "info,nonsense",
            "krx_store=loud",
            "krx_store =debug",
            "krx_store=debug=info",
            "krx_store[{feed}]=debug",
            "tokio=debug",
        ] {
            assert!(filter_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_of_the_program_has_its_own_level() {
        use tracing::Level;

        for text in ["krx_store=debug,info", " info, krx_store=DEBUG "] {
            let filter = filter_of(text).unwrap();
            assert!(filter.would_enable("krx_store::journal", &Level::DEBUG), "{text}");
            assert!(
                !filter.would_enable("krx_store::journal", &Level::TRACE),
                "{text}"
            );
            assert!(filter.would_enable("krx_recorder::feed", &Level::INFO), "{text}");
            assert!(
                !filter.would_enable("krx_recorder::feed", &Level::DEBUG),
                "{text}"
            );
        }
        let filter = filter_of("krx_store").unwrap();
        assert!(filter.would_enable("krx_store", &Level::TRACE));
        assert!(!filter.would_enable("krx_recorder", &Level::ERROR));
        assert!(!filter_of("off").unwrap().would_enable("krx_store", &Level::ERROR));
    }
}
