//! The operations of the API: which path leads to which verb.

use std::sync::LazyLock;

use serde_json::Value;

use crate::error::{ApiError, ApiResult};
use crate::shape::Shape;
use crate::world::World;

/// A call of one operation, its parameters checked and typed. It may hold a card number and is never printed.
#[derive(Clone)]
pub(crate) struct Call {
    /// The ids in the path, in order.
    pub(crate) ids: Vec<String>,
    /// The parameters as [`Shape::read`] gives them.
    pub(crate) params: Value,
    /// The path as it was called.
    pub(crate) path: String,
    /// The API version of the request.
    pub(crate) version: String,
    /// The moment, in seconds since 1970.
    pub(crate) now: i64,
}

impl Call {
    /// The first id in the path.
    pub(crate) fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}

/// What performs an operation.
pub(crate) type Act = fn(&mut World, &Call) -> ApiResult;

/// One operation: method, path with `{}` for ids, parameters (see [`crate::shape`]), verb.
pub(crate) type Operation = (&'static str, &'static str, &'static str, Act);

/// An operation ready to be called.
pub(crate) struct Route {
    method: &'static str,
    path: Vec<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) act: Act,
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let nouns: &[&[Operation]] = &[
        crate::account::OPERATIONS,
        crate::balance::OPERATIONS,
        crate::charge::OPERATIONS,
        crate::coupon::OPERATIONS,
        crate::customer::OPERATIONS,
        crate::dispute::OPERATIONS,
        crate::event::OPERATIONS,
        crate::intent::OPERATIONS,
        crate::payment_method::OPERATIONS,
        crate::payment_page::OPERATIONS,
        crate::price::OPERATIONS,
        crate::product::OPERATIONS,
        crate::promotion_code::OPERATIONS,
        crate::refund::OPERATIONS,
        crate::session::OPERATIONS,
        crate::setup_intent::OPERATIONS,
        crate::warning::OPERATIONS,
        crate::webhook_endpoint::OPERATIONS,
    ];
    let all = nouns.iter().flat_map(|operations| operations.iter());
    all.map(|(method, path, shape, act)| Route {
        method,
        path: path.split('/').collect(),
        shape: Shape::of(shape),
        act: *act,
    })
    .collect()
});

/// The operation a method and path name, with the ids in the path.
pub(crate) fn find(method: &str, path: &str) -> ApiResult<(&'static Route, Vec<String>)> {
    let steps: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let fits = |route: &&Route| {
        route.method == method
            && route.path.len() == steps.len()
            && route
                .path
                .iter()
                .zip(&steps)
                .all(|(known, step)| known == step || *known == "{}")
    };
    let Some(route) = ROUTES.iter().find(fits) else {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). The sandbox does not have this operation; see its \
             documentation for those it has."
        );
        return Err(ApiError {
            status: 404,
            ..ApiError::invalid(message)
        });
    };
    let ids = route
        .path
        .iter()
        .zip(&steps)
        .filter(|(known, _)| **known == "{}");
    Ok((route, ids.map(|(_, step)| (*step).to_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_readable_shape_and_a_path_of_its_own() {
        let mut seen: Vec<String> = ROUTES
            .iter()
            .map(|route| format!("{} {}", route.method, route.path.join("/")))
            .collect();
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
        assert!(count > 50);
    }

    #[test]
    fn a_path_gives_its_ids() {
        let (_, ids) = find("POST", "/v1/refunds/re_1/cancel").unwrap();
        assert_eq!(ids, ["re_1"]);
        assert_eq!(
            find("POST", "/v1/nothing").map(|_| ()).unwrap_err().status,
            404
        );
    }
}
