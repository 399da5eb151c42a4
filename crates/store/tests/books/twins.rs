//! A store and a model that get the same commands.

use std::path::{Path, PathBuf};

use bursar_domain::command::{Command, Request};
use bursar_store::connection::Connection;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Sizes, StoreError};
use tempfile::TempDir;

use super::model::Model;
use super::roll::Roll;
use super::spy::Spy;
use super::{Answers, Books, folder};

pub(crate) struct Twins {
    pub(crate) path: PathBuf,
    pub(crate) books: Books,
    pub(crate) model: Model,
    pub(crate) roll: Roll,
    /// On the store's own connection.
    pub(crate) spy: Spy,
    sizes: Sizes,
    /// Where the books are if not in a file.
    server: Option<Address>,
    _folder: TempDir,
}

fn open(path: &Path, server: Option<&Address>, sizes: Sizes) -> (Spy, Books) {
    let connection: Box<dyn Connection> = match server {
        Some(address) => Box::new(Postgres::open_writer(address.clone()).unwrap()),
        None => Box::new(Sqlite::open_writer(path).unwrap()),
    };
    let spy = Spy::on(connection);
    let books = Books::sized(Box::new(spy.clone()), sizes);
    (spy, books)
}

impl Twins {
    pub(crate) fn new(seed: u64, users: i64, sizes: Sizes) -> Self {
        Self::at(None, seed, users, sizes)
    }

    /// With books on a PostgreSQL server, or in a file.
    pub(crate) fn at(server: Option<Address>, seed: u64, users: i64, sizes: Sizes) -> Self {
        let folder = folder();
        let path = folder.path().join("books.db");
        let (spy, books) = open(&path, server.as_ref(), sizes);
        Self {
            server,
            path,
            books,
            model: Model::default(),
            roll: Roll::new(seed, users),
            spy,
            sizes,
            _folder: folder,
        }
    }

    /// Both must give the same answers.
    pub(crate) fn run(&mut self, requests: &[Request]) -> Answers {
        let answers = self.try_run(requests);
        answers.unwrap()
    }

    /// What the store does not take must not have happened: the model does not hear of it.
    pub(crate) fn try_run(&mut self, requests: &[Request]) -> Result<Answers, StoreError> {
        let ids = self.books.ids.clone();
        let found = self.books.run(requests)?;
        let expected = self.model.run(requests, &self.books, ids);
        for ((request, expected), found) in requests.iter().zip(expected).zip(&found) {
            assert_eq!(expected, *found, "{request:?}");
            if let Ok(reply) = &found.0 {
                self.roll.hear(reply);
            }
        }
        Ok(found)
    }

    pub(crate) fn requests(&mut self) -> Vec<Request> {
        let (now, count) = (self.books.now, 1 + self.roll.dice.below(6));
        (0..count).map(|_| self.roll.request(now)).collect()
    }

    pub(crate) fn batch(&mut self) {
        let requests = self.requests();
        self.run(&requests);
        if self.roll.dice.chance(10) {
            self.sweep();
        }
    }

    pub(crate) fn sweep(&mut self) {
        let (now, soon) = (self.books.now, self.books.now.plus_seconds(60));
        let due = self.reader().due(now, soon, 100_000).unwrap();
        assert_eq!(due, self.model.due(now, soon));
        let command = Command::Sweep(due);
        let sweep = Request {
            command,
            idempotency: None,
        };
        self.run(&[sweep]);
    }

    fn reader(&self) -> Reader {
        match &self.server {
            Some(address) => Reader::over(Box::new(Postgres::open(address.clone()).unwrap())),
            None => Reader::open_sqlite(&self.path).unwrap(),
        }
    }

    /// The program ends without further ado, and starts again. On a server its slot is given back, since the model numbers things
    /// as one node does.
    pub(crate) fn reopened(mut self) -> Self {
        let now = self.books.now;
        if self.server.is_some() {
            self.books.store.catch_up().unwrap();
        }
        // The lock and the connection go with the old process.
        drop(self.books);
        drop(self.spy);
        let (spy, mut books) = open(&self.path, self.server.as_ref(), self.sizes);
        books.now = now;
        Self { books, spy, ..self }
    }

    pub(crate) fn check(&mut self) {
        let mut reader = self.reader();
        self.model.agrees_with(&mut self.books, &mut reader);
    }

    /// How many wallets there are whose row is older than the journal.
    pub(crate) fn wallets_behind(&self) -> usize {
        let mut reader = self.reader();
        let is_behind = |key, head| reader.account(key).unwrap().unwrap().head < head;
        let wallets = self.model.wallets();
        let heads = wallets
            .iter()
            .map(|(key, wallet)| (key, wallet.account.head));
        let mut is_behind = is_behind;
        heads.filter(|(key, head)| is_behind(key, *head)).count()
    }

    /// The newest posting, and up to which one rows miss nothing.
    pub(crate) fn newest_and_rows_to(&self) -> (i64, i64) {
        let file = rusqlite::Connection::open(&self.path).unwrap();
        let sql = "SELECT (SELECT coalesce(max(number), 0) FROM posting), \
                   coalesce((SELECT rows_to FROM seal ORDER BY number DESC LIMIT 1), 0)";
        file.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    }
}
