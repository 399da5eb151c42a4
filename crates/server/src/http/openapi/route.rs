//! Routes: how they are answered, and how they are described.

use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use http::Method;

use super::super::admission::Toll;
use super::operation::{Answer, Argument, Operation};
use crate::App;

/// Routes with their descriptions.
pub(in super::super) struct Routes(Vec<Route>);

/// How one route is answered, and what is described of it.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) describe: fn(&mut Operation<'_>),
    /// The rules by which a request may be refused.
    pub(super) refusals: &'static [&'static str],
    /// Its errors have the plain shape of facades.
    pub(super) plain: bool,
    handler: MethodRouter<App>,
}

impl Routes {
    /// None yet.
    pub(in super::super) const fn new() -> Self {
        Self(vec![])
    }

    /// A question. `refusals` are the codes that no type of the handler brings along.
    pub(in super::super) fn get<H, T, D>(
        self,
        path: &'static str,
        handler: H,
        refusals: &'static [&'static str],
    ) -> Self
    where
        H: Handler<T, App> + Described<D>,
        T: 'static,
    {
        self.add::<H, D>(Method::GET, path, get(handler), refusals)
    }

    /// A command. `refusals` are the codes that no type of the handler brings along.
    pub(in super::super) fn post<H, T, D>(
        self,
        path: &'static str,
        handler: H,
        refusals: &'static [&'static str],
    ) -> Self
    where
        H: Handler<T, App> + Described<D>,
        T: 'static,
    {
        self.add::<H, D>(Method::POST, path, post(handler), refusals)
    }

    fn add<H: Described<D>, D>(
        mut self,
        method: Method,
        path: &'static str,
        handler: MethodRouter<App>,
        refusals: &'static [&'static str],
    ) -> Self {
        self.0.push(Route {
            method,
            path,
            describe: H::describe,
            refusals,
            plain: false,
            handler,
        });
        self
    }

    /// The newest route costs more than others.
    pub(in super::super) fn costs(mut self, toll: Toll) -> Self {
        if let Some(mut route) = self.0.pop() {
            route.handler = route.handler.layer(Extension(toll));
            self.0.push(route);
        }
        self
    }

    /// Errors of these have the plain shape of facades, which `mark` sees to.
    pub(in super::super) fn plain(
        mut self,
        mark: impl Fn(MethodRouter<App>) -> MethodRouter<App>,
    ) -> Self {
        for route in &mut self.0 {
            route.plain = true;
            route.handler = mark(std::mem::take(&mut route.handler));
        }
        self
    }

    /// These and others.
    pub(in super::super) fn merge(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(in super::super) fn into_router(self) -> Router<App> {
        let routes = self.0.into_iter();
        routes.fold(Router::new(), |router, route| {
            router.route(route.path, route.handler)
        })
    }

    pub(super) fn all(&self) -> &[Route] {
        &self.0
    }
}

/// A handler whose arguments and answer describe themselves.
pub(in super::super) trait Described<T> {
    /// Adds them to a description.
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! described {
    ($($argument:ident),*) => {
        impl<F, Fut, R, $($argument),*> Described<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut,
            Fut: Future<Output = R>,
            R: Answer,
            $($argument: Argument,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)*
                R::describe(operation);
            }
        }
    };
}

described!();
described!(A1);
described!(A1, A2);
described!(A1, A2, A3);
described!(A1, A2, A3, A4);
described!(A1, A2, A3, A4, A5);
