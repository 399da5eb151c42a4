//! The documents keep their promises: links lead somewhere, and what a program can meet is written down.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `folder` with this ending, without what is built or downloaded.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with('.')
                && !["target", "node_modules", "data", "bursar-data"].contains(&name)
            {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of a document that are prose: code blocks are left out.
fn prose(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            lines.push(line);
        }
    }
    assert!(!in_code, "a code block is not closed");
    lines
}

fn headings(text: &str) -> Vec<(usize, &str)> {
    let heading =
        |line: &&str| line.starts_with('#') && line.trim_start_matches('#').starts_with(' ');
    let depth = |line: &str| line.len() - line.trim_start_matches('#').len();
    prose(text)
        .into_iter()
        .filter(heading)
        .map(|line| (depth(line), line.trim_start_matches('#').trim()))
        .collect()
}

/// The anchor under which GitHub finds a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Targets of `[text](target)` and `![text](target)`, outside of inline code.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(text) {
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let mut rest = plain.as_str();
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let end = rest
                .find(')')
                .unwrap_or_else(|| panic!("a link is not closed: {line}"));
            targets.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
    targets
}

#[test]
fn every_document_has_one_title() {
    for path in files(&root(), ".md") {
        let text = fs::read_to_string(&path).unwrap();
        let found = headings(&text);
        let titles = found.iter().filter(|(depth, _)| *depth == 1).count();
        assert_eq!(
            titles,
            1,
            "{} needs exactly one line that starts with '# '",
            path.display()
        );
        assert_eq!(found[0].0, 1, "{}: the title comes first", path.display());
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for path in files(&root(), ".md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in links(&text) {
            if target.starts_with("https://") || target.starts_with("http://") {
                continue;
            }
            followed += 1;
            let (file, place) = target
                .split_once('#')
                .map_or((target.as_str(), None), |(file, place)| (file, Some(place)));
            let there = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            if !there.exists() {
                broken.push(format!("{} -> {target}: no such file", path.display()));
            } else if let Some(place) = place {
                let there = fs::read_to_string(&there).unwrap();
                if !headings(&there)
                    .iter()
                    .any(|(_, heading)| anchor(heading) == place)
                {
                    broken.push(format!("{} -> {target}: no such heading", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(
        followed > 30,
        "only {followed} links were found: the search is broken"
    );
}

/// The texts in quotes in the bodies of all functions called `code` of a source file.
fn codes(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for body in source.split("fn code(").skip(1) {
        let body = body.split("\n    }\n").next().unwrap();
        found.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

/// The code is the first text in quotes after the status: `ApiError::new(StatusCode::NOT_FOUND, "not_found", …)`, or
/// the first argument of the short form for 503.
fn codes_of_answers(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let source = source.split("#[cfg(test)]").next().unwrap();
    for rest in source.split("unavailable(").skip(1) {
        let code = rest
            .trim_start()
            .strip_prefix('"')
            .and_then(|rest| rest.split('"').next());
        found.extend(code.map(str::to_owned));
    }
    for call in ["Error::new(", "Self::new("] {
        for rest in source.split(call).skip(1) {
            if !rest.trim_start().starts_with("StatusCode::") {
                continue;
            }
            let status_and_code: Vec<&str> = rest.splitn(3, ',').collect();
            if let Some(code) = status_and_code
                .get(1)
                .and_then(|text| text.trim().strip_prefix('"'))
            {
                found.insert(code.trim_end_matches('"').to_owned());
            }
        }
    }
    found
}

#[test]
fn every_code_is_in_the_list_of_errors() {
    let list = read("docs/errors.md");
    let mut known = BTreeSet::new();
    let sources = [
        "domain/src/refusal.rs",
        "domain/src/payment/fact.rs",
        "stripe/src/error.rs",
        "stripe/src/signature.rs",
    ];
    for source in sources {
        let found = codes(&read(format!("crates/{source}")));
        assert!(
            found.len() >= 5,
            "{source}: only {found:?} were found: the search is broken"
        );
        known.extend(found);
    }
    let mut of_answers = BTreeSet::new();
    for path in files(&root().join("crates/server/src"), ".rs") {
        of_answers.extend(codes_of_answers(&fs::read_to_string(path).unwrap()));
    }
    assert!(
        of_answers.contains("forbidden") && of_answers.contains("parameter_invalid"),
        "{of_answers:?}"
    );
    known.extend(of_answers);
    let missing: Vec<&String> = known
        .iter()
        .filter(|code| !list.contains(&format!("`{code}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/errors.md does not list {missing:?}"
    );
}

/// The paths that the OpenAPI document has, and so the router.
fn routes() -> BTreeSet<String> {
    let document = bursar::http::openapi::document();
    let mut routes: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    // Only in `bursar dev`.
    routes.insert("/demo/session".to_owned());
    routes
}

#[test]
fn every_route_is_in_the_description_of_the_api() {
    let api = read("docs/api.md") + &read("docs/facades.md");
    let routes = routes();
    assert!(
        routes.len() > 20,
        "only {routes:?} were found: the search is broken"
    );
    let missing: Vec<&String> = routes
        .iter()
        .filter(|route| !api.contains(&format!("{route}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/api.md does not describe {missing:?}"
    );
    let described = api
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once(' '));
    let invented: Vec<&str> = described
        .filter(|(method, _)| ["GET", "POST"].contains(method))
        .map(|(_, route)| route.split('?').next().unwrap())
        .filter(|route| !routes.contains(*route))
        .collect();
    assert!(
        invented.is_empty(),
        "docs/api.md describes {invented:?}, which do not exist"
    );
}

#[test]
fn the_readme_names_the_events_and_the_version_to_register() {
    let readme = read("README.md");
    for event in bursar::http::EVENTS {
        assert!(
            readme.contains(&format!("`{event}`")),
            "README.md does not name {event}"
        );
    }
    assert!(readme.contains(&format!("`{}`", bursar_stripe::VERSION)));
}

#[test]
fn every_event_that_can_be_triggered_is_in_the_page_about_the_sandbox() {
    let page = read("docs/sandbox.md");
    for event in bursar_sandbox::trigger::KNOWN {
        assert!(
            page.contains(&format!("`{event}`")),
            "docs/sandbox.md does not name {event}"
        );
    }
}

#[test]
fn every_setting_is_in_the_table_of_the_readme() {
    let readme = read("README.md");
    for setting in bursar::config::setting::SETTINGS {
        for name in std::iter::once(&setting.env).chain(setting.aliases) {
            assert!(
                readme.contains(&format!("`{name}`")),
                "README.md does not list {name}"
            );
        }
        assert!(
            readme.contains(&format!("`{}`", setting.key)),
            "README.md does not list {}",
            setting.key
        );
    }
}

/// A server that ends with the test, whatever becomes of it.
struct Dev(std::process::Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The shell lines of the section that begins with this heading.
fn shell_lines(text: &str, heading: &str) -> String {
    let section = text.split(heading).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

/// What is there after a second takes longer on a machine that has other things to do.
const PATIENT: &str = "sleep() { command sleep $((10 * $1)); }\n";

#[test]
fn the_first_purchase_by_curl_works_as_written() {
    let script = shell_lines(&read("README.md"), "\n### By curl\n");
    let folder = tempfile::tempdir().unwrap();
    let dev = Command::new(env!("CARGO_BIN_EXE_bursar"))
        .args(["dev", "--listen", "127.0.0.1:0", "--data", "./bursar-data"])
        .current_dir(folder.path())
        // Settings of whoever runs the tests are not ours.
        .env_clear()
        .stdout(Stdio::null())
        .spawn();
    let _dev = Dev(dev.unwrap());
    let credentials = folder.path().join("bursar-data/credentials.json");
    let patience = std::time::Instant::now() + std::time::Duration::from_mins(2);
    while !credentials.exists() {
        assert!(
            std::time::Instant::now() < patience,
            "the server does not start"
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let ran = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &(PATIENT.to_owned() + &script)])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(
        ran.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    for answer in [
        r#""enabled":true"#,
        r#""payment_status": "paid""#,
        r#""credits":500,"available":500"#,
        r#""type":"checkout.session.completed","status":"applied""#,
        r#""change":-10,"credits":490"#,
    ] {
        assert!(
            said.contains(answer),
            "{answer} is not in what the README's lines answered:\n{said}"
        );
    }
}
