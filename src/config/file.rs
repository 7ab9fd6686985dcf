//! Reads the configuration file: flat YAML, every key with its line.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::problems::{Problem, Source};

/// One key of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// As its author spelt it.
    pub(super) key: String,
    pub(super) source: Source,
    pub(super) value: Written,
}

/// What stands behind a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// Nothing.
    Empty,
    /// A scalar, as it was spelt.
    Scalar(String),
    /// A list of scalars.
    List(Vec<String>),
    /// Anything else.
    Nested,
}

/// Why the file cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(
        "the file does not exist; copy config.yaml.example to {} and fill it in, or name another with --config",
        .0.display()
    )]
    Missing(PathBuf),
    #[error("failed to read the file: {0}")]
    Read(#[source] io::Error),
    #[error(
        "the file is not YAML: {0}; every line must be `KEY: value`, with a value in quotes when it holds \": \" or \" #\", and no tabs"
    )]
    Syntax(#[source] actors::yaml::YamlError),
    #[error("the file is not a list of lines `KEY: value`")]
    Shape,
}

/// Reads the file; adds a problem for each key that stands in it twice.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<Entry>, FileError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            FileError::Missing(path.to_owned())
        } else {
            FileError::Read(error)
        }
    })?;
    parse(&text, path, problems)
}

fn parse(text: &str, path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<Entry>, FileError> {
    let source = |line| Source::File { path: path.to_owned(), line };
    let map = match actors::yaml::from_str(text).map_err(FileError::Syntax)? {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(FileError::Shape);
        }
    };
    let lines = Line::all(text);
    for (index, line) in lines.iter().enumerate() {
        let first = lines[..index].iter().find(|other| other.key.eq_ignore_ascii_case(line.key));
        if let Some(first) = first {
            problems.push(Problem::new(
                line.key,
                source(Some(line.number)),
                format!("was already set in line {}; keep one", first.number),
            ));
        }
    }
    let mut entries: Vec<(Option<usize>, Entry)> = map
        .into_iter()
        .map(|(key, value)| {
            let line = lines.iter().find(|line| line.key == key);
            let number = line.map(|line| line.number);
            let entry = Entry {
                value: written(value, line.map_or("", |line| line.value)),
                source: source(number),
                key,
            };
            (number, entry)
        })
        .collect();
    entries.sort_by_key(|(number, _)| *number);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// `spelling` is what the line says: YAML reads the device id `12e4` as the number 120000.
fn written(value: Value, spelling: &str) -> Written {
    match value {
        Value::Null => Written::Empty,
        Value::String(text) => Written::Scalar(text),
        Value::Bool(value) => Written::Scalar(value.to_string()),
        Value::Number(number) if spelling.is_empty() => Written::Scalar(number.to_string()),
        Value::Number(_) => Written::Scalar(spelling.to_owned()),
        Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Some(text),
                Value::Bool(value) => Some(value.to_string()),
                Value::Number(number) => Some(number.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            })
            .collect::<Option<_>>()
            .map_or(Written::Nested, Written::List),
        Value::Object(_) => Written::Nested,
    }
}

/// A line that begins with a key. YAML readers give no positions, but the file is flat.
struct Line<'a> {
    number: usize,
    key: &'a str,
    value: &'a str,
}

impl<'a> Line<'a> {
    fn all(text: &'a str) -> Vec<Self> {
        text.lines()
            .enumerate()
            .filter(|(_, line)| !line.starts_with([' ', '\t', '#', '-']))
            .filter_map(|(index, line)| {
                let (key, value) = line.split_once(':')?;
                Some(Self {
                    number: index + 1,
                    key: key.trim().trim_matches(['"', '\'']),
                    value: value.split(" #").next().unwrap_or_default().trim(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String, Written)> {
        let mut problems = Vec::new();
        let entries = parse(text, Path::new("c.yaml"), &mut problems).unwrap();
        assert_eq!(problems, []);
        entries
            .into_iter()
            .map(|entry| (entry.key, entry.source.to_string(), entry.value))
            .collect()
    }

    fn scalar(text: &str) -> Written {
        Written::Scalar(text.to_owned())
    }

    #[test]
    fn scalars_keep_their_spelling_and_their_line() {
        let text =
            "# a comment\nA: x\n\n\"B\": 'y: z' # why\nC: 12e4 # id\nd: true\nE: 007\nF: ~\nG:\n";
        let expected = [
            ("A", "c.yaml:2", scalar("x")),
            ("B", "c.yaml:4", scalar("y: z")),
            ("C", "c.yaml:5", scalar("12e4")),
            ("d", "c.yaml:6", scalar("true")),
            ("E", "c.yaml:7", scalar("007")),
            ("F", "c.yaml:8", Written::Empty),
            ("G", "c.yaml:9", Written::Empty),
        ]
        .map(|(key, source, value)| (key.to_owned(), source.to_owned(), value));
        assert_eq!(entries(text), expected);
    }

    #[test]
    fn lists_and_nested_values_are_distinguished() {
        let read = entries("A:\n  - x\n  - y\nB: [x]\nC: {d: e}\nD: [[x]]\n");
        let values: Vec<_> = read.into_iter().map(|(_, _, value)| value).collect();
        let list = |items: &[&str]| Written::List(items.iter().map(ToString::to_string).collect());
        let expected = [list(&["x", "y"]), list(&["x"]), Written::Nested, Written::Nested];
        assert_eq!(values, expected);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        for text in ["", "# nothing\n", "---\n"] {
            assert_eq!(entries(text), []);
        }
    }

    #[test]
    fn broken_yaml_names_line_and_column_and_the_way_out() {
        let error = parse("A: b\nC: d: e\n", Path::new("c.yaml"), &mut Vec::new()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("line 2 column 5"), "{message}");
        assert!(message.contains("in quotes"), "{message}");
    }

    #[test]
    fn a_file_that_is_no_map_is_refused() {
        for text in ["- a\n", "word\n"] {
            let error = parse(text, Path::new("c.yaml"), &mut Vec::new()).unwrap_err();
            assert!(matches!(error, FileError::Shape));
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_a_problem_in_any_case_of_letters() {
        let mut problems = Vec::new();
        parse("SERVER: a\nserver: b\n", Path::new("c.yaml"), &mut problems).unwrap();
        let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["server (c.yaml:2): was already set in line 1; keep one"]);
    }
}
