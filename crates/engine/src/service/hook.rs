//! Hooks around the product's own work: before it, after it, and where it fails.

use std::error::Error;
use std::fmt;

use bursar_domain::id::UserId;

use super::Promise;

/// Why a hook said no, or could not do its part.
pub type HookError = Box<dyn Error + Send + Sync>;

/// One call of a service of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub user: UserId,
    /// What is called, as usage is recorded under: a name without blanks.
    pub service: String,
    /// Which variant of it: a model, a size. May be empty.
    pub variant: String,
    /// How often, or how much of it; 1 or more.
    pub quantity: i64,
    /// Names this call, for idempotency: the same call repeated has the same key.
    pub key: String,
    /// A JSON object as text to be kept with what is recorded. May be empty.
    pub meta: String,
}

impl Call {
    /// A call of one thing. Its other fields can be set.
    pub fn new(user: UserId, service: &str, key: &str) -> Self {
        Self {
            user,
            service: service.to_owned(),
            variant: String::new(),
            quantity: 1,
            key: key.to_owned(),
            meta: String::new(),
        }
    }
}

/// What a call came to that did not simply give its output.
#[derive(Debug)]
pub enum CallError<T, E> {
    /// A hook before it said no: the work was not begun.
    Refused(HookError),
    /// The work failed.
    Failed {
        /// How.
        error: E,
        /// What the hooks that were told could not do.
        hooks: Vec<HookError>,
    },
    /// The work is done, but hooks after it could not do their part: perhaps nobody has paid for it.
    Unfinished {
        /// What the work gave.
        output: T,
        /// What the hooks could not do; at least one.
        hooks: Vec<HookError>,
    },
}

impl<T, E: fmt::Display> fmt::Display for CallError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks = match self {
            Self::Refused(error) => return write!(f, "nothing was done: {error}"),
            Self::Failed { error, hooks } => {
                write!(f, "{error}")?;
                hooks
            }
            Self::Unfinished { hooks, .. } => {
                f.write_str("the work is done, but what follows it is not")?;
                hooks
            }
        };
        hooks.iter().try_for_each(|hook| write!(f, "; {hook}"))
    }
}

impl<T: fmt::Debug, E: Error> Error for CallError<T, E> {}

type Ending = Promise<'static, Result<(), HookError>>;
type Before = Box<dyn Fn(&Call) -> Ending + Send + Sync>;
type Later<T> = Box<dyn Fn(&Call, &T) -> Ending + Send + Sync>;

/// Hooks around work that gives a `T` or fails with an `E`. Those of one kind run one after the other, in the order in which they
/// were added.
pub struct Hooks<T, E> {
    before: Vec<Before>,
    after: Vec<Later<T>>,
    on_error: Vec<Later<E>>,
}

impl<T, E> fmt::Debug for Hooks<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("before", &self.before.len())
            .field("after", &self.after.len())
            .field("on_error", &self.on_error.len())
            .finish()
    }
}

impl<T, E> Default for Hooks<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

async fn ending<X: Into<HookError>>(
    hook: impl Future<Output = Result<(), X>>,
) -> Result<(), HookError> {
    hook.await.map_err(Into::into)
}

impl<T, E> Hooks<T, E> {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            before: Vec::new(),
            after: Vec::new(),
            on_error: Vec::new(),
        }
    }

    /// Adds a hook that is asked before the work and may refuse it. After the first refusal neither the work nor any other hook runs.
    pub fn before<R, X>(mut self, hook: impl Fn(&Call) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<(), X>> + Send + 'static,
        X: Into<HookError> + 'static,
    {
        self.before
            .push(Box::new(move |call| Box::pin(ending(hook(call)))));
        self
    }

    /// Adds a hook that is told of work that is done, and what it gave. All are told, even if one of them cannot do its part: what
    /// was used is a fact, whether or not it could be charged.
    pub fn after<R, X>(mut self, hook: impl Fn(&Call, &T) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<(), X>> + Send + 'static,
        X: Into<HookError> + 'static,
    {
        self.after.push(Box::new(move |call, output| {
            Box::pin(ending(hook(call, output)))
        }));
        self
    }

    /// Adds a hook that is told of work that failed, and how. All are told.
    pub fn on_error<R, X>(mut self, hook: impl Fn(&Call, &E) -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<(), X>> + Send + 'static,
        X: Into<HookError> + 'static,
    {
        self.on_error.push(Box::new(move |call, error| {
            Box::pin(ending(hook(call, error)))
        }));
        self
    }

    /// Asks the hooks before, does the work, and tells the hooks after it. `work` is a future, which does nothing before it is waited
    /// for: refused work was never begun.
    ///
    /// Whoever stops waiting stops the call where it is, as web servers do when a customer goes away: work that is done may then have
    /// no charge. Run the call in a task of its own where that matters, or hold what the work may cost before it begins.
    pub async fn run(
        &self,
        call: &Call,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<T, E>> {
        for hook in &self.before {
            hook(call).await.map_err(CallError::Refused)?;
        }
        match work.await {
            Ok(output) => {
                let hooks = tell(&self.after, call, &output).await;
                if hooks.is_empty() {
                    Ok(output)
                } else {
                    Err(CallError::Unfinished { output, hooks })
                }
            }
            Err(error) => {
                let hooks = tell(&self.on_error, call, &error).await;
                Err(CallError::Failed { error, hooks })
            }
        }
    }
}

/// Tells every hook; what they could not do.
async fn tell<T>(hooks: &[Later<T>], call: &Call, what: &T) -> Vec<HookError> {
    let mut failures = Vec::new();
    for hook in hooks {
        if let Err(failure) = hook(call, what).await {
            failures.push(failure);
        }
    }
    failures
}
