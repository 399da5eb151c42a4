use std::fs;

use bursar::Config;
use bursar::config::setting::SETTINGS;
use bursar::config::{Sources, Values, table};
use tempfile::TempDir;

use crate::halves;

/// Below this a text is found by chance.
const SECRET_MIN: usize = 8;

/// A settings file and a `.env`. Whatever stands there: what is wrong is said, and neither that nor what the program shows of its
/// settings tells a secret.
pub fn config(bytes: &[u8]) {
    let (toml, dotenv) = halves(bytes);
    if names_a_file(toml) || names_a_file(dotenv) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file is written");
        Some(path)
    };
    let sources = Sources {
        file: write("bursar.toml", toml),
        dotenv: write("env", dotenv),
        ..Sources::default()
    };
    let (values, _) = Values::read(&sources);
    let shown = table(&values);
    let loaded = match Config::load(&sources) {
        Ok((config, _)) => format!("{config:?}"),
        Err(problems) => {
            assert!(
                !problems.0.is_empty(),
                "something is wrong, and nothing is said"
            );
            problems.to_string()
        }
    };
    let said = shown + &loaded;
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        let Some(secret) = values
            .get(setting.key)
            .filter(|found| found.value.len() >= SECRET_MIN)
        else {
            continue;
        };
        let others = values.0.iter().filter(|(key, _)| **key != setting.key);
        let is_shown_elsewhere = others
            .into_iter()
            .any(|(_, other)| other.value.contains(&secret.value));
        assert!(
            is_shown_elsewhere || !said.contains(&secret.value),
            "a secret is told"
        );
    }
}

/// Settings that name files make the program read whatever is on this machine.
fn names_a_file(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    text.contains("_file") || text.contains("rootcert")
}
