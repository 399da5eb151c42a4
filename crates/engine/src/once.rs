//! What is asked under an idempotency key is done once, and answered as often as it is asked.

use std::ops::Deref;

use bursar_domain::command::{Command, Idempotency, OtherReply, Reply, Request};

use crate::{Engine, EngineError};

/// What was done, and whether it was done before under the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once<T> {
    /// What was done; as it was answered the first time, if it is a repetition.
    pub value: T,
    /// Whether it is a repetition: this time nothing was done.
    pub replayed: bool,
}

impl<T> Once<T> {
    /// What was done.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Once<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Engine {
    /// Asks for something, under an idempotency key if there is one; the answer comes when it is on disk. `T` is what the reply to
    /// this command holds.
    pub async fn ask<T: TryFrom<Reply>>(
        &self,
        command: Command,
        idempotency: Idempotency,
    ) -> Result<Once<T>, EngineError> {
        let request = Request {
            command,
            idempotency,
        };
        let Once { value, replayed } = self.shared.writer.submit(request).await?;
        let value = value.try_into().map_err(|_| OtherReply)?;
        Ok(Once { value, replayed })
    }
}
