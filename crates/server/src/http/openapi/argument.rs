//! What arguments of handlers need of a request.

use axum::extract::State;
use http::{HeaderMap, Uri};

use super::super::auth::{Admin, Caller, Person, User};
use super::super::extract::Query;
use super::super::form::Form;
use super::super::order::Order;
use super::operation::{Argument, Operation};

/// Of the server, not of the request.
impl<S> Argument for State<S> {
    fn describe(_: &mut Operation<'_>) {}
}

/// Where a request came to, which decides where a customer returns to.
impl Argument for HeaderMap {
    fn describe(_: &mut Operation<'_>) {}
}

impl Argument for Uri {
    fn describe(_: &mut Operation<'_>) {}
}

impl Argument for User {
    fn describe(operation: &mut Operation<'_>) {
        operation.for_users();
    }
}

impl Argument for Person {
    fn describe(operation: &mut Operation<'_>) {
        operation.for_users();
    }
}

impl Argument for Admin {
    fn describe(operation: &mut Operation<'_>) {
        operation.for_admins();
    }
}

impl Argument for Caller {
    fn describe(operation: &mut Operation<'_>) {
        operation.for_users();
        operation.for_admins();
    }
}

/// Somebody, if it is him.
impl<T: Argument, E> Argument for Result<T, E> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

impl<F: Form> Argument for Query<F> {
    fn describe(operation: &mut Operation<'_>) {
        operation.query::<F>();
    }
}

impl<F: Form, const BYTES_MAX: usize, const KEY_REQUIRED: bool> Argument
    for Order<F, BYTES_MAX, KEY_REQUIRED>
{
    fn describe(operation: &mut Operation<'_>) {
        operation.body::<F>(KEY_REQUIRED);
    }
}
