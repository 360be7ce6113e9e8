//! A file of issue codes, which a group of registrations can name: one code a line.
//!
//! ```text
//! # Futures on KOSPI 200
//! 101N6000
//! 105N3000      # mini
//! ```

use std::path::Path;

use super::codes::check_code;
use super::list_file;
use super::problem::{ConfigError, Problem, WrongFile};
use crate::sanitize::shorten;

/// The codes in the file, at least one.
///
/// # Errors
/// [`ConfigError::Invalid`] if the file has none, and [`ConfigError::Wrong`] with all lines that are wrong.
pub(super) fn read(key: &str, path: &Path) -> Result<Vec<String>, ConfigError> {
    let file = path.display();
    let invalid = |problem: String| ConfigError::invalid(key, format!("{file}: {problem}"));
    let bytes = list_file::contents(path).map_err(|error| {
        invalid(format!(
            "{error}; put a file there with one code on each line, or remove `codes_file`"
        ))
    })?;
    let codes = parse(&bytes).map_err(|problems| {
        let name = Some(format!("the file of codes {file}"));
        ConfigError::Wrong(vec![WrongFile { name, problems }])
    })?;
    if codes.is_empty() {
        return Err(invalid(
            "it contains no code; write one on each line, or remove `codes_file`".to_owned(),
        ));
    }
    Ok(codes)
}

/// The codes, or what is wrong with which lines.
fn parse(bytes: &[u8]) -> Result<Vec<String>, Vec<Problem>> {
    let code = |code: &str| check_line(code).map(|()| code.to_owned());
    let entries = list_file::parse(bytes, code)?;
    Ok(entries.into_iter().map(|(_, code)| code).collect())
}

fn check_line(code: &str) -> Result<(), String> {
    let separators = [',', ';', '"', '\''];
    let is_separator = |c: char| c.is_whitespace() || separators.contains(&c);
    let mut words = code.split(is_separator).filter(|word| !word.is_empty());
    if words.all(|word| check_code(word).is_ok()) && code.contains(is_separator) {
        let code = shorten(code);
        return Err(format!(
            "{code:?}: write one code on each line, without quotes or commas"
        ));
    }
    check_code(code)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn problems(text: &[u8]) -> Vec<String> {
        let problems = parse(text).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_code_a_line_with_comments_and_blank_lines() {
        let text = "\u{feff}# all\r\n\r\n  005930\t# one\r\n00088K\n201N6220*006#\n\n#\n101N6000";
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            ["005930", "00088K", "201N6220*006", "101N6000"]
        );
        for nothing in ["", "\u{feff}", "# 005930\n\n   \n"] {
            assert_eq!(parse(nothing.as_bytes()).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn each_wrong_line_is_named_with_what_to_write() {
        let text = "005930\n삼성전자\n005930, 000660\n\"005930\"\n201N6220*0067\n-\n";
        let found = problems(text.as_bytes());
        for (problem, begins) in found.iter().zip([
            "line 2: \"삼성전자\" is not an issue code: write 12 letters, digits and * at most",
            "line 3: \"005930, 000660\": write one code on each line",
            "line 4: \"\\\"005930\\\"\": write one code on each line",
            "line 5: \"201N6220*0067\" is not an issue code",
            "line 6: \"-\" is not an issue code",
        ]) {
            assert!(problem.starts_with(begins), "{problem}");
        }
        assert_eq!(found.len(), 5);
        let utf16 = b"005930\n0006\xff\xfe";
        assert_eq!(
            problems(utf16),
            ["line 2: this is not UTF-8: save the file as UTF-8"]
        );
    }

    #[test]
    fn a_file_that_is_wrong_throughout_is_reported_in_a_few_lines() {
        let found = problems("?\n".repeat(1000).as_bytes());
        assert_eq!(found.len(), 21);
        assert_eq!(found.last().unwrap(), "980 more lines are wrong");
        let long = problems("?".repeat(100_000).as_bytes());
        assert!(long[0].len() < 1000, "{}", long[0].len());
    }

    #[test]
    fn what_is_no_list_of_codes_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.txt");
        let problem = || read("key", &path).unwrap_err().to_string();
        let missing = problem();
        assert!(
            missing.starts_with(&format!("key: {}: No such file", path.display())),
            "{missing}"
        );
        fs::write(&path, "# 005930\n").unwrap();
        assert!(problem().contains("contains no code; write one"), "{}", problem());
        fs::write(&path, "#\n".repeat(1 << 19)).unwrap();
        assert!(problem().contains("contains no code"), "{}", problem());
        fs::write(&path, "#\n".repeat(1 << 19) + "#").unwrap();
        assert!(problem().contains("longer than 1 MiB"), "{}", problem());
        fs::write(&path, "005930\n?\n").unwrap();
        let name = format!("the file of codes {}, line 2: \"?\"", path.display());
        assert!(problem().starts_with(&name), "{}", problem());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(problem().contains("it is not a regular file"), "{}", problem());
    }
}
