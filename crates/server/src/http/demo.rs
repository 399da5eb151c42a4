//! `bursar dev` only: hands the demo user's token to the page at `/`, so that a person can try things without signing in.
//!
//! The route exists only when the program was started as `dev` on a loopback address. A page of another site cannot use it: the
//! host must be this machine by name, and the browser must say that its own page asks.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, Uri};
use serde_json::json;

use super::answer::item;
use super::error::ApiError;
use super::return_url::{host, is_loopback};
use crate::App;

/// `POST /demo/session`
pub(super) async fn session(
    State(app): State<App>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<impl IntoResponse, ApiError> {
    check(&headers, &uri)?;
    let demo = app
        .demo()
        .ok_or_else(|| ApiError::forbidden("there is no demo user"))?;
    Ok(item(
        json!({ "user_id": demo.user_id, "user_token": demo.user_token.expose() }),
    ))
}

fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let only_here = || {
        ApiError::forbidden("the demo session is for the page of this very server, on this machine")
    };
    // A name that merely resolves to this machine would let another site's page in (DNS rebinding).
    let host = host(headers, uri)
        .filter(|host| is_loopback(host))
        .ok_or_else(only_here)?;
    let origin = headers.get("origin").and_then(|value| value.to_str().ok());
    if origin != Some(&format!("http://{host}")) {
        return Err(only_here());
    }
    match headers
        .get("sec-fetch-site")
        .map(http::HeaderValue::as_bytes)
    {
        None | Some(b"same-origin") => Ok(()),
        Some(_) => Err(only_here()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)]) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        check(&headers, &Uri::from_static("/demo/session"))
    }

    #[test]
    fn only_the_page_of_this_server_gets_the_token() {
        let own = ("host", "127.0.0.1:8787");
        let origin = ("origin", "http://127.0.0.1:8787");
        let same = ("sec-fetch-site", "same-origin");
        assert!(asked(&[own, origin, same]).is_ok());
        assert!(asked(&[own, origin]).is_ok());
        assert!(asked(&[own, same]).is_err());
        assert!(asked(&[own, ("origin", "http://evil.test"), same]).is_err());
        assert!(asked(&[own, ("origin", "null")]).is_err());
        assert!(asked(&[own, ("origin", "http://127.0.0.1:9999")]).is_err());
        assert!(asked(&[own, origin, ("sec-fetch-site", "cross-site")]).is_err());
        assert!(asked(&[own, origin, ("sec-fetch-site", "same-site")]).is_err());
        assert!(asked(&[("host", "evil.test"), ("origin", "http://evil.test"), same]).is_err());
    }
}
