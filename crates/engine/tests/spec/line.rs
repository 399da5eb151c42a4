//! The lines of a specification: read, and written with the arrows of a paragraph below each other.

/// Arrows further right than this are not aligned with the others of their paragraph.
const COLUMN_MAX: usize = 72;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A comment or an empty line, as it stands.
    Prose(String),
    /// A verb with its words, and what came of it.
    Step { words: String, outcome: Vec<String> },
}

impl Line {
    pub(crate) fn step(words: &str) -> Self {
        let words = words.to_owned();
        Self::Step {
            words,
            outcome: vec![],
        }
    }

    pub(crate) fn with(mut self, came: Vec<String>) -> Self {
        if let Self::Step { outcome, .. } = &mut self {
            *outcome = came;
        }
        self
    }

    pub(crate) fn is_step(&self) -> bool {
        matches!(self, Self::Step { .. })
    }
}

pub(crate) fn read(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            lines.push(Line::Prose(line.to_owned()));
            continue;
        }
        let (words, said) = line.split_once("->").unwrap_or((line, ""));
        let (words, said) = (words.trim(), said.trim());
        let said = (!said.is_empty()).then(|| said.to_owned());
        match lines.last_mut() {
            Some(Line::Step { outcome, .. }) if words.is_empty() => outcome.extend(said),
            _ => lines.push(Line::step(words).with(said.into_iter().collect())),
        }
    }
    lines
}

pub(crate) fn write(lines: &[Line]) -> String {
    let mut text = String::new();
    for paragraph in lines.split_inclusive(|line| !line.is_step()) {
        let width = |line: &Line| match line {
            Line::Step { words, outcome } if !outcome.is_empty() => words.chars().count(),
            _ => 0,
        };
        let widths = paragraph.iter().map(width);
        let column = widths
            .filter(|width| *width <= COLUMN_MAX)
            .max()
            .unwrap_or(0);
        for line in paragraph {
            match line {
                Line::Prose(prose) => text += prose,
                Line::Step { words, outcome } => text += &write_step(words, outcome, column),
            }
            text.push('\n');
        }
    }
    text
}

fn write_step(words: &str, outcome: &[String], column: usize) -> String {
    let Some((first, rest)) = outcome.split_first() else {
        return words.to_owned();
    };
    let lines = rest.iter().map(|line| format!("{:column$} -> {line}", ""));
    let first = format!("{words:column$} -> {first}");
    let lines: Vec<String> = std::iter::once(first).chain(lines).collect();
    lines.join("\n")
}
