//! Where values come from, and which one wins: the built-in file, the operator's file, `.env`, the environment, flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::setting::{self, Named, Setting};

/// The commented file of all settings. It is printed by `bursar config --default` and it *is* the defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The file that is read from the working directory when none is named.
pub const USUAL_FILE: &str = "bursar.toml";

/// The places values are read from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The operator's file. Without one, `./bursar.toml` is read if it exists.
    pub file: Option<PathBuf>,
    /// A file of `NAME=value` lines, read if it exists.
    pub dotenv: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Values from the command line: the key of the setting, the flag, the value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// What a program started in this directory and this environment reads.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            dotenv: Some(PathBuf::from(".env")),
            environment: std::env::vars_os().collect(),
            flags: Vec::new(),
        }
    }

    /// Nothing but this environment.
    pub fn of_environment<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter();
        Self {
            environment: pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ..Self::default()
        }
    }

    /// Adds a value from the command line, if it was given there.
    pub fn flag(&mut self, key: &'static str, flag: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.flags.push((key, flag, value));
        }
    }
}

/// What is wrong with the configuration. All of it is reported at once, not one thing for each attempt.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has to be corrected:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for Problems {}

/// A value as text, and where it was found.
#[derive(Clone)]
pub struct Found {
    /// The value as written.
    pub value: String,
    /// For people: "default", "bursar.toml", ".env", "environment BURSAR_LISTEN", "--listen".
    pub origin: String,
}

impl fmt::Debug for Found {
    /// The value may be a secret, and a `Debug` print has no way to know.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found(from {})", self.origin)
    }
}

/// For each key the value that won.
#[derive(Debug, Clone, Default)]
pub struct Values(pub BTreeMap<&'static str, Found>);

impl Values {
    /// Reads all sources. Later ones replace earlier ones, setting by setting.
    pub fn read(sources: &Sources) -> (Self, Problems) {
        let mut values = Self::default();
        let mut problems = Problems::default();
        values.add_toml(DEFAULTS, "default", &mut problems);
        values.add_file(sources.file.as_deref(), &mut problems);
        if let Some(path) = &sources.dotenv {
            let layer = Layer::from_dotenv(path, &mut problems);
            values.add_environment(layer, &mut problems);
        }
        let layer = Layer::from_environment(&sources.environment, &mut problems);
        values.add_environment(layer, &mut problems);
        for (key, flag, value) in &sources.flags {
            values.set(key, value.clone(), (*flag).to_owned());
        }
        (values, problems)
    }

    /// The value of a setting, if it has one.
    pub fn get(&self, key: &str) -> Option<&Found> {
        self.0.get(key)
    }

    /// Sets a value from code: `bursar dev` points the program at its sandbox this way.
    pub fn set(&mut self, key: &'static str, value: String, origin: String) {
        self.0.insert(key, Found { value, origin });
    }

    fn add_file(&mut self, named: Option<&Path>, problems: &mut Problems) {
        let path = named.unwrap_or(Path::new(USUAL_FILE));
        match fs::read_to_string(path) {
            Ok(text) => self.add_toml(&text, &path.display().to_string(), problems),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                problems
                    .0
                    .push(format!("{}: cannot be read: {error}", path.display()));
            }
        }
    }

    fn add_toml(&mut self, text: &str, origin: &str, problems: &mut Problems) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // The message of the parser quotes the line, and the line may hold a secret.
                let place = error
                    .span()
                    .map(|span| text[..span.start].lines().count().max(1));
                let place = place.map_or(String::new(), |line| format!(", line {line}"));
                let reason = error.message();
                problems
                    .0
                    .push(format!("{origin}{place}: not valid TOML: {reason}"));
                return;
            }
        };
        for (name, value) in table {
            match value {
                toml::Value::Table(section) => {
                    for (inner, value) in section {
                        self.add_key(&format!("{name}.{inner}"), &value, origin, problems);
                    }
                }
                value => self.add_key(&name, &value, origin, problems),
            }
        }
    }

    fn add_key(&mut self, key: &str, value: &toml::Value, origin: &str, problems: &mut Problems) {
        let Some(setting) = setting::by_key(key) else {
            let near = setting::nearest_key(key);
            problems.0.push(format!(
                "{origin}: unknown key `{key}`; did you mean `{near}`?"
            ));
            return;
        };
        match toml_text(value) {
            Some(text) => self.set(setting.key, text, origin.to_owned()),
            None => problems.0.push(format!(
                "{origin}: `{key}` must be a text, a whole number, or a list of texts or of tables"
            )),
        }
    }

    fn add_environment(&mut self, layer: Layer, problems: &mut Problems) {
        for (key, entry) in layer.0 {
            match entry.read() {
                Ok(found) => self.set(key, found.value, found.origin),
                Err(problem) => problems.0.push(problem),
            }
        }
    }
}

fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        // A list of tables stays what it is, as JSON.
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            serde_json::to_string(items).ok()
        }
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

/// One set of `NAME=value` pairs: the environment, or `.env`.
#[derive(Default)]
struct Layer(BTreeMap<&'static str, Entry>);

struct Entry {
    name: String,
    value: String,
    in_file: bool,
    origin: String,
}

impl Entry {
    /// The value; for a name with `_FILE`, the content of the file without the line end that editors add.
    fn read(self) -> Result<Found, String> {
        let Self {
            name,
            value,
            in_file,
            origin,
        } = self;
        if !in_file {
            return Ok(Found { value, origin });
        }
        match fs::read_to_string(&value) {
            Ok(text) => Ok(Found {
                value: text.trim().to_owned(),
                origin: format!("{origin} ({value})"),
            }),
            Err(error) => Err(format!("{name}: the file {value} cannot be read: {error}")),
        }
    }
}

impl Layer {
    fn from_environment(pairs: &[(OsString, OsString)], problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        for (name, value) in pairs {
            let Some(name) = name.to_str() else { continue };
            match value.to_str() {
                Some(value) => layer.add(name, value, "environment", problems),
                None if matches!(setting::by_env(name), Named::Foreign) => {}
                None => problems
                    .0
                    .push(format!("{name}: the value is not valid UTF-8")),
            }
        }
        layer
    }

    fn from_dotenv(path: &Path, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        let shown = path.display().to_string();
        match dotenvy::from_path_iter(path) {
            Ok(pairs) => {
                for pair in pairs {
                    match pair {
                        Ok((name, value)) => layer.add(&name, &value, &shown, problems),
                        // The error quotes the line, and the line may hold a secret.
                        Err(_) => problems.0.push(format!(
                            "{shown}: a line is not NAME=value; quote values with spaces"
                        )),
                    }
                }
            }
            Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.0.push(format!("{shown}: cannot be read: {error}")),
        }
        layer
    }

    fn add(&mut self, name: &str, value: &str, place: &str, problems: &mut Problems) {
        let (setting, in_file): (&'static Setting, bool) = match setting::by_env(name) {
            Named::Value(setting) => (setting, false),
            Named::File(setting) => (setting, true),
            Named::Unknown(near) => {
                problems.0.push(format!(
                    "{place}: unknown name {name}; did you mean {near}?"
                ));
                return;
            }
            Named::Foreign => return,
        };
        let entry = Entry {
            name: name.to_owned(),
            value: value.to_owned(),
            in_file,
            origin: format!("{place} {name}"),
        };
        let text = entry.value.clone();
        if let Some(other) = self.0.insert(setting.key, entry)
            && (other.value != text || other.in_file != in_file)
            && other.name != name
        {
            problems.0.push(format!(
                "{place}: {} and {name} both set the same thing; keep one",
                other.name
            ));
        }
    }
}
