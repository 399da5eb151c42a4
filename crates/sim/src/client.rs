//! Clients: the product's server, customers' browsers, an administrator. What they ask has an idempotency key, and they ask again.

use bursar_domain::command::{AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::id::UserId;
use bursar_domain::refusal::Refusal;
use bursar_store::digest::request_hash;

use crate::node::NODES_MAX;

/// Whose wallets there are.
pub(crate) const USERS: [&str; 3] = ["anna", "ben", "cara"];

pub(crate) fn user(which: u32) -> Option<UserId> {
    UserId::parse(USERS[which as usize % USERS.len()])
}

/// The idempotency key of this name for what is asked under it.
pub(crate) fn key(name: String, command: &Command) -> (AnswerKey, RequestHash) {
    let key = AnswerKey {
        key: name,
        principal: "product".to_owned(),
        route: "sim".to_owned(),
    };
    (key, request_hash(format!("{command:?}").as_bytes()))
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
        let request = Request {
            idempotency: Some(key(format!("k-{number}"), &command)),
            command,
        };
        self.asked.push(Asked {
            request,
            answered: None,
            waits: [false; NODES_MAX],
        });
        number
    }
}
