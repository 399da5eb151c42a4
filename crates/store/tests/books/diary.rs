//! Books with a diary of what was asked under which idempotency key, and what was answered.

use std::path::{Path, PathBuf};

use bursar_domain::charge::ActionPrice;
use bursar_domain::command::{AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::refusal::Refusal;
use tempfile::TempDir;

use super::{Books, folder};

/// What was asked under a key, and what was answered.
pub(crate) struct Diary {
    pub(crate) path: PathBuf,
    pub(crate) books: Books,
    pub(crate) entries: Vec<(Request, Result<Reply, Refusal>)>,
    _folder: TempDir,
}

pub(crate) fn key(route: &str, number: usize) -> (AnswerKey, RequestHash) {
    let key = AnswerKey {
        principal: "admin".to_owned(),
        route: route.to_owned(),
        key: format!("K-{number}"),
    };
    (key, RequestHash([7; 16]))
}

fn open(path: &Path) -> Books {
    let mut books = Books::at(path);
    let price = ActionPrice::parse("3/2").unwrap();
    books.policy.actions.insert("picture".to_owned(), price);
    books
}

impl Diary {
    pub(crate) fn new() -> Self {
        let folder = folder();
        let path = folder.path().join("books.db");
        Self {
            books: open(&path),
            path,
            entries: vec![],
            _folder: folder,
        }
    }

    /// Asks under a new key, and notes the answer.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Reply, Refusal> {
        let request = Request {
            command,
            idempotency: Some(key("any", self.entries.len())),
        };
        let (answer, replayed) = self
            .books
            .run(std::slice::from_ref(&request))
            .unwrap()
            .remove(0);
        assert!(!replayed, "{request:?}");
        self.entries.push((request, answer.clone()));
        answer
    }

    /// Every question gets its first answer, asked by itself or together with all others.
    pub(crate) fn repeats(&mut self) {
        let before = self.books.store.seal();
        let requests: Vec<Request> = self
            .entries
            .iter()
            .map(|(request, _)| request.clone())
            .collect();
        let mut answers = self.books.run(&requests).unwrap();
        for request in &requests {
            answers.extend(self.books.run(std::slice::from_ref(request)).unwrap());
        }
        let expected = self.entries.iter().chain(&self.entries);
        for ((request, expected), (answer, replayed)) in expected.zip(answers) {
            assert_eq!(*expected, answer, "{request:?}");
            assert!(replayed, "{request:?}");
        }
        assert_eq!(self.books.store.seal(), before, "something was done again");
    }

    pub(crate) fn reopened(self) -> Self {
        let now = self.books.now;
        drop(self.books);
        let mut books = open(&self.path);
        books.now = now;
        Self { books, ..self }
    }
}
