//! A sandbox by itself, for other programs to talk to:
//!
//! ```text
//! cargo run -p bursar-sandbox --example serve -- 127.0.0.1:12111 sandbox.jsonl
//! ```
//!
//! The first argument says where to listen, the second where to keep the journal; without it everything is
//! forgotten at the end.

use bursar_sandbox::{Sandbox, SandboxConfig};

const KEY: &str = "sk_test_sandbox00000000000000000000";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:12111".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let mut config = SandboxConfig::new(&base_url, KEY);
    config.data_file = arguments.next().map(Into::into);
    let sandbox = Sandbox::open(config)?;
    println!("API base      {base_url}");
    println!("secret key    {KEY}");
    println!("control page  {base_url}/sandbox");
    println!("listeners     stripe listen --api-base {base_url} --api-key {KEY}");
    let stop = || async { drop(tokio::signal::ctrl_c().await) };
    let serving = axum::serve(listener, sandbox.router()).with_graceful_shutdown(stop());
    let (served, sent) = tokio::join!(serving.into_future(), sandbox.run(stop()));
    served?;
    Ok(sent?)
}
