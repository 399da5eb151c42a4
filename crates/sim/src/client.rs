//! Clients: the product's server, customers' browsers, an administrator. What they ask has an idempotency key, and they ask again.

use bursar_domain::command::{AnswerKey, Command, Reply, Request};
use bursar_domain::id::UserId;
use bursar_domain::refusal::Refusal;
use bursar_store::digest::request_hash;

use crate::node::NODES_MAX;

/// Whose wallets there are.
pub(crate) const USERS: [&str; 3] = ["anna", "ben", "cara"];

pub(crate) fn user(which: u32) -> Option<UserId> {
    UserId::parse(USERS[which as usize % USERS.len()])
}

/// Something a client has asked for.
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// What the client was answered, once an answer has reached it.
    pub(crate) answered: Option<Result<Reply, Refusal>>,
    /// At which nodes it waits for an answer.
    pub(crate) waits: [bool; NODES_MAX],
}

/// All that clients have asked for, in order.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) asked: Vec<Asked>,
}

impl Clients {
    /// A new request; its number.
    pub(crate) fn ask(&mut self, command: Command) -> usize {
        let number = self.asked.len();
        let key = AnswerKey {
            key: format!("k-{number}"),
            principal: "product".to_owned(),
            route: "sim".to_owned(),
        };
        let hash = request_hash(format!("{command:?}").as_bytes());
        let request = Request {
            command,
            idempotency: Some((key, hash)),
        };
        self.asked.push(Asked {
            request,
            answered: None,
            waits: [false; NODES_MAX],
        });
        number
    }
}
